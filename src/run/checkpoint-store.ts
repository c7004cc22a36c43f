import { existsSync, mkdirSync, readdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import type { TensorData } from '../base/tensor-data.js';
import {
  makeFolder,
  removeTemporary,
  syncFile,
  syncFolder,
  temporaryPath,
  writeFileAtomic,
  writeJsonAtomic,
} from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { writeFilesInThread } from '../files/files-in-thread.js';
import { readSmallText } from '../files/small-file.js';
import { readSafetensors, safetensorsParts, writeSafetensors } from '../weights/safetensors/safetensors.js';
import {
  AUXILIARY,
  type CheckpointManifest,
  FORMAT,
  fingerprint,
  MODEL,
  OPTIMIZER,
  readVerified,
  sizeDamage,
  verify,
} from './checkpoint-store-manifest.js';

/** A checkpoint whose files were verified. */
export interface Checkpoint {
  readonly step: number;
  readonly folder: string;
  readonly manifest: CheckpointManifest;
}

/** Result of a search for a checkpoint, with the damaged ones that were skipped, for the log. */
export interface CheckpointSearch {
  readonly checkpoint?: Checkpoint;
  readonly skipped: readonly { readonly folder: string; readonly reason: string }[];
}

type Tensors = ReadonlyMap<string, TensorData>;

/** Content of a checkpoint. */
interface CheckpointContent {
  readonly model: Tensors;
  readonly optimizer: Tensors;
  /** Weights that are trained with the model but are no part of it. */
  readonly auxiliary?: Tensors | undefined;
  /** Data that the caller needs to resume, besides the tensors; `format`, `step` and `files` are added. */
  readonly manifest: object;
  /** Also moves the pointer `best`. */
  readonly isBest?: boolean;
}

/**
 * Writes `checkpoints/<step>/` atomically, then moves the pointer `latest`: a kill or power loss at any moment leaves
 * earlier checkpoints unchanged. `metrics.jsonl` is synced to the disk before the checkpoint appears. Only one process at a
 * time may write to a phase's folder.
 *
 * Throws `InputError` if the folder is not writable, `RunError` if the disk is full or `phaseFolder` is missing.
 */
export function saveCheckpoint(phaseFolder: string, step: number, content: CheckpointContent): Checkpoint {
  const { root, folder, temporary } = placeOf(phaseFolder, step);
  return withFileErrors(folder, () => {
    try {
      makeRoom(root, temporary);
      for (const [file, tensors] of filesOf(content)) writeSafetensors(join(temporary, file), tensors);
      return putInPlace(phaseFolder, step, temporary, content, fingerprint(temporary));
    } finally {
      removeTemporary(root);
    }
  });
}

/**
 * `saveCheckpoint`, but other threads write the files while this one continues: the tensors' bytes are transferred to them.
 * Until the promise resolves, do not save or prune in this folder; the new checkpoint does not exist yet.
 */
export async function saveCheckpointInThread(
  phaseFolder: string,
  step: number,
  content: CheckpointContent,
): Promise<Checkpoint> {
  const { root, folder, temporary } = placeOf(phaseFolder, step);
  try {
    withFileErrors(folder, () => makeRoom(root, temporary));
    const named = filesOf(content);
    const written = await writeFilesInThread(
      named.map(([file, tensors]) => ({ path: join(temporary, file), parts: safetensorsParts(tensors) })),
    ).catch((error) =>
      withFileErrors(folder, () => {
        throw error;
      }),
    );
    const files = Object.fromEntries(named.map(([file], i) => [file, written[i]]));
    return withFileErrors(folder, () => putInPlace(phaseFolder, step, temporary, content, files));
  } finally {
    withFileErrors(folder, () => removeTemporary(root));
  }
}

/** The files of a checkpoint and their tensors. */
function filesOf({ model, optimizer, auxiliary }: CheckpointContent): [file: string, tensors: Tensors][] {
  return [
    [MODEL, model],
    [OPTIMIZER, optimizer],
    ...(auxiliary ? [[AUXILIARY, auxiliary] as [string, Tensors]] : []),
  ];
}

function placeOf(phaseFolder: string, step: number) {
  const root = join(phaseFolder, 'checkpoints');
  return { root, folder: join(root, String(step)), temporary: temporaryPath(root, String(step)) };
}

function makeRoom(root: string, temporary: string): void {
  // Not recursive: a deleted run folder must not reappear with one checkpoint in it.
  makeFolder(root);
  removeTemporary(root);
  mkdirSync(temporary);
}

function putInPlace(
  phaseFolder: string,
  step: number,
  temporary: string,
  { manifest: given, isBest }: CheckpointContent,
  files: CheckpointManifest['files'],
): Checkpoint {
  const { root, folder } = placeOf(phaseFolder, step);
  const manifest = { ...given, format: FORMAT, step, files };
  writeJsonAtomic(join(temporary, 'manifest.json'), manifest);
  syncFile(join(phaseFolder, 'metrics.jsonl'));
  // Before the checkpoint is renamed: if the process is killed in between, training reaches this step again and saves it.
  if (isBest) writePointer(root, 'best', step);
  if (existsSync(folder)) renameSync(folder, temporaryPath(root, `old-${step}`));
  renameSync(temporary, folder);
  syncFolder(root);
  writePointer(root, 'latest', step);
  return { step, folder, manifest };
}

/**
 * The newest checkpoint by step whose files all exist and match the sizes and hashes in its manifest. Damaged checkpoints
 * are skipped. The files take precedence over the pointer `latest`: a writer that was killed just before it moved the pointer
 * has left a newer, intact checkpoint.
 */
export function latestCheckpoint(phaseFolder: string): CheckpointSearch {
  const root = join(phaseFolder, 'checkpoints');
  return firstWhole(root, stepsToTry(root));
}

/** Steps, newest first. If `latest` points to a missing checkpoint, its step comes before them. */
function stepsToTry(root: string): number[] {
  const steps = stepsIn(root);
  const pointed = readPointer(root, 'latest');
  const lost = pointed !== undefined && !steps.includes(pointed) ? [pointed] : [];
  return [...lost, ...steps.reverse()];
}

/** The checkpoint that `best` points to, verified. */
export function bestCheckpoint(phaseFolder: string): CheckpointSearch {
  const root = join(phaseFolder, 'checkpoints');
  const step = readPointer(root, 'best');
  return firstWhole(root, step === undefined ? [] : [step]);
}

/** The checkpoint of a step if its weights are intact, else the reason. Its optimiser state may be missing. */
export function wholeModel(
  phaseFolder: string,
  step: number,
): { readonly checkpoint: Checkpoint } | { readonly reason: string } {
  const { folder } = placeOf(phaseFolder, step);
  const found = verify(folder, [MODEL]);
  return 'manifest' in found ? { checkpoint: { step, folder, manifest: found.manifest } } : found;
}

/** `wholeModel` without reading the weights: only their presence and size are checked. */
export function presentModel(phaseFolder: string, step: number): Checkpoint | undefined {
  const { folder } = placeOf(phaseFolder, step);
  const found = verify(folder, [MODEL], sizeDamage);
  return 'manifest' in found ? { step, folder, manifest: found.manifest } : undefined;
}

/** A checkpoint with its tensors, which were verified against its manifest. */
export interface LoadedCheckpoint extends Checkpoint {
  readonly model: Tensors;
  /** Empty if it was not requested. */
  readonly optimizer: Tensors;
  /** Empty if it was not requested, or the phase has none. */
  readonly auxiliary: Tensors;
}

/**
 * `latestCheckpoint` with its tensors; reads each file only once.
 * @param progress is called from time to time while files are read
 */
export function loadLatest(
  phaseFolder: string,
  progress: () => void = () => {},
): { readonly checkpoint?: LoadedCheckpoint; readonly skipped: CheckpointSearch['skipped'] } {
  const root = join(phaseFolder, 'checkpoints');
  const skipped: { folder: string; reason: string }[] = [];
  for (const step of stepsToTry(root)) {
    const found = load(root, step, undefined, progress);
    if ('checkpoint' in found) return { checkpoint: found.checkpoint, skipped };
    skipped.push({ folder: join(root, String(step)), reason: found.reason });
  }
  return { skipped };
}

/** `wholeModel` with its weights; reads the file only once. */
export function loadWithoutOptimizer(
  phaseFolder: string,
  step: number,
): { readonly checkpoint: LoadedCheckpoint } | { readonly reason: string } {
  return load(placeOf(phaseFolder, step).root, step, [MODEL], () => {});
}

function load(root: string, step: number, files: readonly string[] | undefined, progress: () => void) {
  const folder = join(root, String(step));
  const tensors = new Map<string, Tensors>();
  const found = readVerified(folder, files, (path, file, seen) => {
    const read = readSafetensors(path, (bytes) => {
      seen(bytes);
      progress();
    });
    tensors.set(file, read.tensors);
  });
  if ('reason' in found) return found;
  const [model, optimizer, auxiliary] = [MODEL, OPTIMIZER, AUXILIARY].map(
    (file) => tensors.get(file) ?? new Map(),
  );
  return { checkpoint: { step, folder, manifest: found.manifest, model, optimizer, auxiliary } };
}

/** Whether a phase has a checkpoint whose files have the sizes in its manifest. Reads no tensors. */
export function hasCheckpoint(phaseFolder: string): boolean {
  const root = join(phaseFolder, 'checkpoints');
  return stepsIn(root).some((step) => 'manifest' in verify(join(root, String(step)), undefined, sizeDamage));
}

/** The step that `best` points to, even if its checkpoint is damaged. */
export function bestStep(phaseFolder: string): number | undefined {
  return readPointer(join(phaseFolder, 'checkpoints'), 'best');
}

/** The step of the newest checkpoint by name, even if it is damaged; 0 if there is no checkpoint. */
export function newestStep(phaseFolder: string): number {
  return stepsIn(join(phaseFolder, 'checkpoints')).at(-1) ?? 0;
}

/** The newest readable manifest, even if its checkpoint is damaged. */
export function newestManifest(phaseFolder: string): Readonly<Record<string, unknown>> | undefined {
  const root = join(phaseFolder, 'checkpoints');
  for (const step of stepsIn(root).reverse()) {
    const manifest = readManifest(join(root, String(step)));
    if (manifest !== undefined) return manifest;
  }
  return undefined;
}

/**
 * Points `latest` to the checkpoint from which training resumes: a writer that was killed just before it moved the pointer left
 * it outdated, and finished training would never move it. Call it only while holding the folder's lock.
 */
export function pointToLatest(phaseFolder: string, { step }: Checkpoint): void {
  const root = join(phaseFolder, 'checkpoints');
  if (readPointer(root, 'latest') !== step) writePointer(root, 'latest', step);
}

/** Deletes files that killed writers left in a phase's folder. Call it only if no other process holds the folder's lock. */
export function removeLeftovers(phaseFolder: string): void {
  for (const folder of [phaseFolder, join(phaseFolder, 'checkpoints')]) {
    withFileErrors(folder, () => removeTemporary(folder));
  }
}

/** Reads the tensors of a checkpoint. */
export function readCheckpoint(checkpoint: Checkpoint): { model: Tensors; optimizer: Tensors } {
  const read = (file: string) => readSafetensors(join(checkpoint.folder, file)).tensors;
  return { model: read('model.safetensors'), optimizer: read('optimizer.safetensors') };
}

/**
 * Call it after saving a checkpoint. Deletes all checkpoints except the newest `keep` (at least one) and those that `latest`
 * and `best` point to. Also deletes damaged checkpoints after `latest`, which training has gone back behind and which would
 * displace good ones, and temporary files that killed writers left.
 */
export function prune(phaseFolder: string, keep: number): void {
  const root = join(phaseFolder, 'checkpoints');
  const latest = readPointer(root, 'latest');
  const pointed = [latest, readPointer(root, 'best')];
  const steps = stepsIn(root);
  const damaged = steps.filter(
    (step) => latest !== undefined && step > latest && 'reason' in verify(join(root, String(step))),
  );
  const whole = steps.filter((step) => !damaged.includes(step));
  const old = [...damaged, ...whole.slice(0, -Math.max(keep, 1))];
  withFileErrors(root, () => {
    for (const step of old.filter((step) => !pointed.includes(step))) {
      // Renamed first, so that a kill during the deletion does not leave half a checkpoint under a step's name.
      renameSync(join(root, String(step)), temporaryPath(root, `old-${step}`));
    }
    removeTemporary(root);
  });
}

function firstWhole(root: string, steps: readonly number[]): CheckpointSearch {
  const skipped: { folder: string; reason: string }[] = [];
  for (const step of steps) {
    const folder = join(root, String(step));
    const found = verify(folder);
    if ('manifest' in found) return { checkpoint: { step, folder, manifest: found.manifest }, skipped };
    skipped.push({ folder, reason: found.reason });
  }
  return { skipped };
}

/** Steps with a folder, ascending by number: as strings, 1000 would sort before 999. */
function stepsIn(root: string): number[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

function readManifest(folder: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const manifest: unknown = JSON.parse(readSmallText(join(folder, 'manifest.json')));
    return typeof manifest === 'object' && manifest !== null ? { ...manifest } : undefined;
  } catch {
    return undefined;
  }
}

function readPointer(root: string, name: 'latest' | 'best'): number | undefined {
  const path = join(root, name);
  if (!existsSync(path)) return undefined;
  const text = readSmallText(path).trim();
  return /^\d+$/.test(text) ? Number(text) : undefined;
}

function writePointer(root: string, name: 'latest' | 'best', step: number): void {
  writeFileAtomic(join(root, name), `${step}\n`, { makesFolder: false });
}
