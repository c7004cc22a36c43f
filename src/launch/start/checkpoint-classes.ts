import { existsSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import {
  areNumbers,
  className,
  labelsByName,
  type NamedClasses,
  sameClasses,
} from '../../data/class-names.js';
import { hasLabelColumns, isCsvPath } from '../../data/formats/csv-table.js';
import type { Category } from '../../data/formats/formats.js';
import type { ModelClasses } from '../../data/model-labels.js';
import { classesOfData } from '../../data/open/open-dataset.js';
import { readSmallText } from '../../files/small-file.js';
import { classesInConfig, classNamesIn } from '../../models/model-file/model-file-classes.js';
import { readRunData } from '../../phase/images/run-data-file.js';
import type { CheckpointClasses } from '../../phase/phase-labels.js';
import { newestManifest } from '../../run/checkpoint-store.js';
import { confusionOf } from '../../run/confusion.js';
import { phasesIn, readJson, runFolder } from '../../run/run-folder.js';
import { type CheckpointFile, familyOfCheckpoint } from './checkpoint-file.js';

interface Stating {
  /** Number of classes that the model distinguishes. */
  readonly count: number;
  /** The value of `--classes`; see `statedClasses`. */
  readonly stated?: string | undefined;
  readonly category?: Category | undefined;
}

/** Given instead of a path if the folders are named by their labels. */
const BY_NUMBER = 'number';

/**
 * The known classes of a checkpoint: those that the user states, otherwise those that the checkpoint states.
 *
 * @throws InputError as in `statedClasses`; if the number of names is wrong; or if the user gives the names of a run's
 *   checkpoint in a different order
 */
export function modelClassesOf(
  checkpoint: CheckpointFile,
  { count, stated, category }: Stating,
): ModelClasses {
  const own = classesOf(checkpoint);
  if (stated === undefined) return { count, named: own, isCertain: own?.isOurs ?? false };
  if (stated === BY_NUMBER) return { count, named: own, byNumber: true };
  const given = statedClasses(stated, count, category);
  if (own !== undefined && given.isSet && areAmong(given.names, own.names)) {
    return { count, named: own, isCertain: true };
  }
  if (given.names.length !== count) {
    throw new InputError(
      `--classes: ${stated} has ${given.names.length} names, but the model has ${count} classes`,
      {
        hint: 'A list has one name per line, in label order.',
      },
    );
  }
  if (own?.isOurs) requireSameOrder(given, own);
  return { count, named: given, isCertain: true };
}

interface Stated extends NamedClasses {
  /** Whether only the set of names is certain (a folder). In a file, the order also states the label of each name. */
  readonly isSet: boolean;
}

/**
 * The names of classes, by label, from a text file (one per line), a JSON file (a list, or a file like `config.json`), a run
 * or one of its phases or checkpoints, a Hugging Face or timm folder, or a data set.
 *
 * @throws InputError if the path does not exist or names no classes
 */
function statedClasses(path: string, count: number, category: Category | undefined): Stated {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat === undefined) {
    throw new InputError(`--classes: ${path} does not exist`, {
      hint: 'Use a list of names, a run, the images that the model was trained on, or the word number.',
    });
  }
  const isImageList = !stat.isDirectory() && isCsvPath(path) && hasLabelColumns(path);
  if (!stat.isDirectory() && !isImageList) return { names: namesInFile(path), from: path, isSet: false };
  const recorded = isImageList ? undefined : recordedClasses(path);
  if (recorded !== undefined) return { names: recorded.map(className), from: path, isSet: true };
  return { names: classesOfData(path, { model: { count }, category }), from: path, isSet: true };
}

function namesInFile(path: string): readonly string[] {
  const text = readSmallText(path).trim();
  const lines = text.split(/\r?\n/).map((line) => line.trim());
  return (namesInJson(path, text) ?? lines).map(className);
}

function namesInJson(path: string, text: string): readonly string[] | undefined {
  if (!/^[[{]/.test(text)) return undefined;
  const hint = 'For example ["cat", "dog"], in label order.';
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`--classes: ${path} is not valid JSON (${errorText(cause)})`, { cause, hint });
  }
  const names = classNamesIn(value) ?? classNamesIn({ class_to_idx: value });
  if (names === undefined) {
    throw new InputError(`--classes: ${path} is not a list of names`, { hint });
  }
  return names;
}

/** The names that a run, phase, checkpoint or model folder records; undefined for other folders. */
function recordedClasses(path: string): readonly string[] | undefined {
  const has = (name: string) => existsSync(join(path, name));
  if (has('recipe.json')) {
    const phases = phasesIn(path);
    for (const phase of phases) {
      const names = classesOfPhase(runFolder(path).phase(phase).root);
      if (names !== undefined) return names;
    }
    throw noNames(path);
  }
  if (has('checkpoints')) return classesOfPhase(path) ?? fail(noNames(path));
  if (has('manifest.json'))
    return namesInManifest(readJson(join(path, 'manifest.json'))) ?? fail(noNames(path));
  return has('config.json') ? (classesInConfig(path)?.names ?? fail(noNames(path))) : undefined;
}

function classesOfPhase(folder: string): readonly string[] | undefined {
  const names = namesInManifest(newestManifest(folder));
  const confusion = join(folder, 'confusion.json');
  return names ?? (existsSync(confusion) ? confusionOf(readJson(confusion))?.names : undefined);
}

function namesInManifest(manifest: unknown): readonly string[] | undefined {
  return classNamesIn({ classes: Object(manifest).classes });
}

function fail(error: InputError): never {
  throw error;
}

function noNames(path: string): InputError {
  return new InputError(`--classes: ${path} does not name its classes`, {
    hint: 'Use a text file with the names instead, one per line, in label order.',
  });
}

function areAmong(names: readonly string[], known: readonly string[]): boolean {
  const labelsOf = labelsByName(known);
  return names.every((name) => labelsOf(name).length > 0);
}

/** Checks the order of the names. A list that permutes the names that a model was trained with is always wrong. */
function requireSameOrder(given: NamedClasses, own: CheckpointClasses): void {
  if (sameClasses(given.names, own.names) || !areAmong(own.names, given.names)) return;
  const label = own.names.findIndex((name, i) => className(name) !== className(given.names[i]));
  throw new InputError(
    `--classes: ${given.from} has the classes of ${own.from} in another order: label ${label} is ` +
      `${given.names[label]}, there ${own.names[label]}`,
    { hint: 'Omit --classes: the checkpoint names its classes.' },
  );
}

type Named = Pick<CheckpointFile, 'name' | 'file' | 'manifest'>;

/**
 * The names of a checkpoint's classes, by label: from its manifest, from the file or the `config.json` next to it, or from
 * its run. Undefined if no names are found, or their number differs from the number of the model's classes.
 */
export function classesOf(checkpoint: Named): CheckpointClasses | undefined {
  const found = listedClasses(checkpoint);
  if (found === undefined || found.names.length !== classCount(checkpoint)) return undefined;
  return { ...found, names: found.names.map(className) };
}

/** Note for the user if a list of names does not fit the model or is contradicted; undefined if not, or without a list. */
export function doubtfulClasses(checkpoint: Named): string | undefined {
  const found = listedClasses(checkpoint);
  const count = classCount(checkpoint);
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
function classCount({ file, manifest }: Named): number | null {
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
