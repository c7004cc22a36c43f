import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { areNumbers, className, type NamedClasses } from '../../data/class-names.js';
import { familyOfStages } from '../../models/families/families.js';
import { wholeFacts } from '../../models/family.js';
import { confusionOf } from '../../run/confusion.js';
import { readJson, runFolder } from '../../run/run-folder.js';
import { readRunData } from '../images/run-data-file.js';
import type { CheckpointFile } from './checkpoint-file.js';

/** The names of a checkpoint's classes. */
export interface CheckpointClasses extends NamedClasses {
  /** A run wrote them: they are the names of its training images. */
  readonly isOurs: boolean;
}

type Named = Pick<CheckpointFile, 'name' | 'file' | 'manifest'>;

/**
 * The names of a checkpoint's classes, by label: those of its manifest, of the file or the `config.json` beside it, or of
 * the evaluations of its run. Nothing where none of them has as many names as the model has classes.
 */
export function classesOf(checkpoint: Named): CheckpointClasses | undefined {
  const found = listedClasses(checkpoint);
  if (found === undefined || found.names.length !== modelClassesOf(checkpoint)) return undefined;
  return { ...found, names: found.names.map(className) };
}

/** What a user should know of a list of names that does not fit the model; nothing where it fits, or there is none. */
export function unusedClasses(checkpoint: Named): string | undefined {
  const found = listedClasses(checkpoint);
  const count = modelClassesOf(checkpoint);
  if (found === undefined || found.names.length === count) return undefined;
  return `classes without names: ${found.from} lists ${found.names.length}, the model has ${count}`;
}

/** The run that a checkpoint is in. */
export function runAbove(path: string): string | undefined {
  for (let folder = dirname(path), up = 0; up < 5; folder = dirname(folder), up++) {
    if (existsSync(join(folder, 'recipe.json'))) return folder;
  }
  return undefined;
}

function modelClassesOf({ file }: Named): number {
  return wholeFacts(familyOfStages(file.stages), file).classes;
}

function listedClasses({ name, file, manifest }: Named): CheckpointClasses | undefined {
  if (manifest?.classes !== undefined) return { names: manifest.classes, from: name, isOurs: true };
  if (file.named !== undefined) return file.named;
  return manifest && classesInRun(file.path, manifest.phase);
}

/** Of a checkpoint that an earlier version wrote: its phase's evaluations have the names. */
function classesInRun(path: string, phase: string): CheckpointClasses | undefined {
  const root = runAbove(path);
  if (root === undefined) return undefined;
  const { confusion } = runFolder(root).phase(phase);
  const names = existsSync(confusion) ? confusionOf(readJson(confusion))?.names : undefined;
  if (names !== undefined) return { names, from: confusion, isOurs: true };
  const recorded = readRunData(root)?.classes;
  if (recorded === undefined || areNumbers(recorded)) return undefined;
  return { names: recorded, from: runFolder(root).data, isOurs: true };
}
