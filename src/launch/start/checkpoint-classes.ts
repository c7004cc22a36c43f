import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { areNumbers, className } from '../../data/class-names.js';
import { readRunData } from '../../phase/images/run-data-file.js';
import type { CheckpointClasses } from '../../phase/phase-labels.js';
import { confusionOf } from '../../run/confusion.js';
import { readJson, runFolder } from '../../run/run-folder.js';
import { familyOfCheckpoint } from './checkpoint-family.js';
import type { CheckpointFile } from './checkpoint-file.js';

type Named = Pick<CheckpointFile, 'name' | 'file' | 'manifest'>;

/**
 * The names of a checkpoint's classes, by label: from its manifest, from the file or the `config.json` next to it, or from
 * its run. Undefined if no names are found, or their number differs from the number of the model's classes.
 */
export function classesOf(checkpoint: Named): CheckpointClasses | undefined {
  const found = listedClasses(checkpoint);
  if (found === undefined || found.names.length !== modelClassesOf(checkpoint)) return undefined;
  return { ...found, names: found.names.map(className) };
}

/** Note for the user if a list of names does not fit the model or is contradicted; undefined if not, or without a list. */
export function doubtfulClasses(checkpoint: Named): string | undefined {
  const found = listedClasses(checkpoint);
  const count = modelClassesOf(checkpoint);
  if (found === undefined) return undefined;
  if (found.names.length === count) {
    return found.conflict && `the class names of id2label in ${found.from}: ${found.conflict}`;
  }
  return `classes without names: ${found.from} lists ${found.names.length}, the model has ${count}`;
}

/** The run folder that contains a checkpoint. */
export function runAbove(path: string): string | undefined {
  for (let folder = dirname(path), up = 0; up < 5; folder = dirname(folder), up++) {
    if (existsSync(join(folder, 'recipe.json'))) return folder;
  }
  return undefined;
}

/** Null if the weights have no head. */
function modelClassesOf({ file, manifest }: Named): number | null {
  const stated = manifest?.model.classes;
  if (typeof stated === 'number') return stated;
  return familyOfCheckpoint({ file, manifest }).factsOf(file.stages, file.path).classes;
}

function listedClasses({ name, file, manifest }: Named): CheckpointClasses | undefined {
  if (manifest?.classes !== undefined) return { names: manifest.classes, from: name, isOurs: true };
  if (file.named !== undefined) return file.named;
  // A copy of weights from elsewhere has the names of its own classes, not of the run's.
  return manifest?.source === undefined ? manifest && classesInRun(file.path, manifest.phase) : undefined;
}

/** The names for a checkpoint of an earlier version: from its phase's evaluations or its run's `data.json`. */
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
