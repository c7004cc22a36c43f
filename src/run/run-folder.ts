import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  type Stats,
  statSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { errorText, InputError } from '../base/errors.js';
import { syncFile, writeJsonAtomic } from '../files/atomic.js';
import { readSmallText } from '../files/small-file.js';
import type { Metric } from './metric.js';
import type { PhaseResult } from './records.js';
import { areStages } from './records.js';

/** Paths in a run folder (a contract with other programs that read it). */
export interface RunFolder {
  readonly root: string;
  readonly recipe: string;
  readonly plan: string;
  /** The training images, one per line, if only a part of the data set is used. */
  readonly images: string;
  /** Identifies the data set: see `RunData`. */
  readonly data: string;
  /** Folder with the lists of the data set's images. */
  readonly imageLists: string;
  /** Evaluation images that have been decoded once. */
  readonly readable: string;
  /** Folder with copies of the weights that the run starts or learns from. */
  readonly start: string;
  readonly summary: string;
  /** Folder with `index.html` and its figures. */
  readonly report: string;
  /** `PT`, `MT/0` ..., `FT`, `E2E`. */
  phase(name: string): PhaseFolder;
}

export interface PhaseFolder {
  readonly root: string;
  readonly metrics: string;
  readonly log: string;
  /** Predictions of the last evaluation: see `Confusion`. */
  readonly confusion: string;
  /** Folder with a few images that the phase has seen. */
  readonly samples: string;
  /** Exists once the phase is done. */
  readonly result: string;
  /** Folder with its TensorBoard event files, next to those of the other phases. */
  readonly events: string;
}

/** @throws InputError if `root` is not the folder of a run */
export function requireRun(root: string): void {
  if (existsSync(runFolder(root).recipe)) return;
  throw new InputError(`${root} is not a run folder: it has no recipe.json.`, {
    hint: 'Name the folder that `npx deep-incubation run` writes. It exists as soon as the run has started.',
  });
}

/** The runs directly inside a folder, in the order of their names. A run, or a folder without runs, stands for itself. */
export function runsIn(root: string): string[] {
  if (existsSync(runFolder(root).recipe) || !isFolder(root)) return [root];
  const inside = readdirSync(root)
    .sort()
    .map((name) => join(root, name));
  const runs = inside.filter((each) => existsSync(runFolder(each).recipe));
  return runs.length > 0 ? runs : [root];
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

export function runFolder(root: string): RunFolder {
  return {
    root,
    recipe: join(root, 'recipe.json'),
    plan: join(root, 'plan.json'),
    images: join(root, 'train_images.txt'),
    data: join(root, 'data.json'),
    imageLists: join(root, 'data'),
    readable: join(root, 'data', 'readable.json'),
    start: join(root, 'start'),
    summary: join(root, 'summary.json'),
    report: join(root, 'report'),
    phase: (name) => {
      const phase = join(root, ...name.split('/'));
      return {
        root: phase,
        metrics: join(phase, 'metrics.jsonl'),
        log: join(phase, 'log.txt'),
        confusion: join(phase, 'confusion.json'),
        samples: join(phase, 'samples'),
        result: join(phase, 'result.json'),
        events: join(root, 'tensorboard', ...name.split('/')),
      };
    },
  };
}

/** `runFolder` with paths that `withRunFile` accepts: absolute, with links resolved. */
export function resolvedRunFolder(root: string): RunFolder {
  return runFolder(existsSync(root) ? realpathSync(root) : resolve(root));
}

/** The phases whose folders exist, in training order: PT, MT/0 ..., FT, E2E. */
export function phasesIn(root: string): string[] {
  const modules = foldersIn(join(root, 'MT'))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b)
    .map((index) => `MT/${index}`);
  const present = new Set(foldersIn(root));
  return [
    ...['PT'].filter((p) => present.has(p)),
    ...modules,
    ...['FT', 'E2E'].filter((p) => present.has(p)),
  ];
}

/** Whether any phase has a folder for checkpoints, that is, training progress that could be lost. */
export function hasBegun(root: string): boolean {
  return phasesIn(root).some((phase) => existsSync(join(runFolder(root).phase(phase).root, 'checkpoints')));
}

/**
 * The result of a finished phase; undefined if the phase is not done.
 * @param metrics metrics that it must contain
 * @throws InputError if the file is invalid
 */
export function readResult(
  root: string,
  phase: string,
  metrics: readonly Metric[] = [],
): PhaseResult | undefined {
  const path = runFolder(root).phase(phase).result;
  if (!existsSync(path)) return undefined;
  const value = readJsonObject(path);
  const hint = `Delete this file and run again: ${phase} resumes from its last checkpoint and writes it again.`;
  const named = metrics.map(({ name }) => name);
  const others = Object.keys(value).filter((key) => key !== 'phase' && key !== 'curriculum');
  const wrong = [...RESULT_NUMBERS, ...named, ...others].find((key) => typeof value[key] !== 'number');
  if (wrong !== undefined) throw new InputError(`${path}: "${wrong}" is missing or not a number.`, { hint });
  if (value.curriculum !== undefined && !areStages(value.curriculum)) {
    throw new InputError(`${path}: "curriculum" is not a list of stages.`, { hint });
  }
  if (typeof value.phase !== 'string') {
    throw new InputError(`${path}: "phase" is missing or not the name of a phase.`, { hint });
  }
  if (value.phase !== phase) {
    throw new InputError(`${path} belongs to ${JSON.stringify(value.phase)}, not to ${phase}`, {
      hint: `The folder of another phase was copied here: restore the original, or remove ${runFolder(root).phase(phase).root}.`,
    });
  }
  return value as unknown as PhaseResult;
}

/** Marks the phase as done, after syncing its metrics to the disk. */
export function writeResult(root: string, result: PhaseResult): void {
  const phase = runFolder(root).phase(result.phase);
  syncFile(phase.metrics);
  writeJsonAtomic(phase.result, result);
}

/** The parsed content of a JSON file. Throws an `InputError` that names the file. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readSmallText(path));
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`Cannot read ${path}: ${errorText(error)}`, { cause: error });
  }
}

/** `readJson` for a file with an object. Throws an `InputError` that names the file if it contains anything else. */
export function readJsonObject(path: string): Readonly<Record<string, unknown>> {
  const value = readJson(path);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Readonly<Record<string, unknown>>;
  }
  throw new InputError(`${path} is damaged: it does not contain a JSON object`, {
    hint: 'Restore it from a copy, or start in another folder.',
  });
}

const RESULT_NUMBERS = [
  'steps',
  'images',
  'block_passes',
  'macs',
  'seconds',
  'loss',
  'parameters',
  'trained_parameters',
  'memory_bytes',
] as const;

function foldersIn(path: string): string[] {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
}

/**
 * Opens a regular file of a run folder for reading. Links, pipes, folders, and files in a linked folder are rejected: a run
 * from another person must not make this machine's other files readable, and must not block the server.
 * @param path absolute, with the run folder's own links resolved
 * @returns the result of `read`, or undefined if there is no such file or reading fails
 */
export function withRunFile<T>(path: string, read: (handle: number, stat: Stats) => T): T | undefined {
  let handle: number;
  try {
    if (realpathSync(dirname(path)) !== dirname(path)) return undefined;
    handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(handle);
    return stat.isFile() ? read(handle, stat) : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(handle);
  }
}

/** Size limit for JSON files, in bytes: a recipe or a plan has a few thousand. */
const MOST_JSON = 8 << 20;

/** Reads a JSON object from a run folder; undefined if the file is missing or invalid. */
export function readRunJson(path: string): Record<string, unknown> | undefined {
  return withRunFile(path, (handle, { size }) => {
    if (size > MOST_JSON) return undefined;
    const value: unknown = JSON.parse(readBytes(handle, 0, size).toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  });
}

/** The complete lines in the last `most` bytes of a text file, and the file's size. */
export function readTail(path: string, most: number): { size: number; lines: string[] } {
  const found = withRunFile(path, (handle, { size }) => {
    const from = Math.max(0, size - most);
    const text = readBytes(handle, from, size).toString('utf8');
    const lines = (from > 0 ? text.slice(text.indexOf('\n') + 1) : text).split('\n');
    if (lines.at(-1) === '') lines.pop();
    return { size, lines };
  });
  return found ?? { size: 0, lines: [] };
}

export function readBytes(handle: number, from: number, to: number): Buffer {
  const buffer = Buffer.allocUnsafe(Math.max(0, to - from));
  return buffer.subarray(0, readSync(handle, buffer, 0, buffer.length, from));
}

/** Size of a file in bytes; 0 if it is missing. */
export function sizeOf(path: string): number {
  return withRunFile(path, (_, { size }) => size) ?? 0;
}
