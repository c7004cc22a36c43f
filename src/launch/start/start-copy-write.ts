import { createHash } from 'node:crypto';
import { existsSync, linkSync, mkdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { makeFolders, syncFolder, temporaryPath, writeJsonAtomic } from '../../files/atomic.js';
import { writeAll, writeFile } from '../../files/file-bytes.js';
import { withFileErrors } from '../../files/file-errors.js';
import { familiesIn } from '../../models/families/families.js';
import type { ModelSection } from '../../models/family.js';
import { isModule, type Phase } from '../../recipe/phase.js';
import { newestStep } from '../../run/checkpoint-store.js';
import { type FileFingerprint, FORMAT, fingerprintOf } from '../../run/checkpoint-store-manifest.js';
import { readJsonObject, runFolder } from '../../run/run-folder.js';
import { dividedNames } from '../../weights/layout/model-file-stages.js';
import { safetensorsParts } from '../../weights/safetensors/safetensors.js';
import { classesOf } from './checkpoint-classes.js';
import type { CheckpointFile } from './checkpoint-file.js';
import { requireTeacher } from './given-weights.js';
import type { ModelOfCheckpoint } from './model-of-checkpoint.js';
import { copyFolder, hasCopy, readGiven, type Wanted, wantedStart, wantedTeacher } from './start-copy.js';

/** Weights that were read for a run, with the facts that a checkpoint of their model needs. */
export interface ReadWeights {
  readonly wanted: Wanted;
  readonly checkpoint: CheckpointFile;
  readonly about: CopyFacts;
}

/** Facts about the model that its file may not state. */
interface CopyFacts {
  readonly seed: number;
  readonly depths: readonly number[];
  /** The recipe's section `model` for the weights. */
  readonly model: ModelSection | Readonly<Record<string, unknown>>;
  readonly data: Readonly<Pick<Phase['data'], 'eval_crop' | 'exif' | 'grey16'>> & {
    readonly mean: readonly number[];
    readonly std: readonly number[];
  };
}

/** Copies weights into the run's folder, as checkpoints. A copy of the same weights is kept. */
export function keepWeights(runDir: string, all: readonly ReadWeights[]): void {
  if (all.length === 0) return;
  const { start } = runFolder(runDir);
  withFileErrors(start, () => makeFolders(start));
  for (const each of all) if (!hasCopy(runDir, each.wanted)) writeCopy(runDir, each);
}

/** Writes the copy as a whole or not at all. A copy of other weights is replaced. */
function writeCopy(runDir: string, { wanted, checkpoint, about }: ReadWeights): void {
  const { start } = runFolder(runDir);
  const folder = copyFolder(runDir, wanted);
  const temporary = temporaryPath(start, wanted.id);
  withFileErrors(folder, () => {
    try {
      mkdirSync(temporary);
      const path = join(temporary, MODEL);
      const file = linked(runDir, checkpoint, path) ?? written(checkpoint, path);
      const manifest = manifestOf(wanted, checkpoint, about);
      writeJsonAtomic(join(temporary, 'manifest.json'), { ...manifest, files: { [MODEL]: file } });
      replaceFolder(temporary, folder, () => hasCopy(runDir, wanted));
    } finally {
      rmSync(temporary, { recursive: true, force: true });
    }
  });
}

const MODEL = 'model.safetensors';

/** @param isThere whether another process has put the same copy there */
function replaceFolder(from: string, to: string, isThere: () => boolean): void {
  if (isThere()) return;
  const parent = dirname(to);
  const old = temporaryPath(parent, 'old');
  if (existsSync(to)) renameSync(to, old);
  try {
    renameSync(from, to);
  } catch (error) {
    if (!isThere()) throw error;
  }
  syncFolder(parent);
  rmSync(old, { recursive: true, force: true });
}

/** Links the weights, so that the copy takes no room, if they are in this program's format already. */
function linked(runDir: string, checkpoint: CheckpointFile, path: string): FileFingerprint | undefined {
  const from = linkable(runDir, checkpoint);
  if (from === undefined) return undefined;
  try {
    linkSync(from, path);
  } catch {
    // Another disk, or a file system without links.
    return undefined;
  }
  return checkpoint.sha256 === undefined
    ? fingerprintOf(path)
    : { bytes: statSync(path).size, sha256: checkpoint.sha256 };
}

/** The file to link: that of a checkpoint, which is never written in place, or one inside the run. */
function linkable(runDir: string, { file, manifest }: CheckpointFile): string | undefined {
  const isModel = file.chosen === undefined || file.chosen.from === MODEL;
  if (file.layout !== 'deep-incubation' || file.format === 'torch' || !isModel) return undefined;
  const inRun = relative(resolve(runFolder(runDir).start), resolve(file.path));
  const isInside = !inRun.startsWith('..') && !isAbsolute(inRun);
  const isCheckpoint = manifest !== undefined && existsSync(manifestBeside(file));
  return isCheckpoint || isInside ? weightsFile(file) : undefined;
}

function weightsFile({ format, path }: CheckpointFile['file']): string {
  return format === 'checkpoint' ? join(path, MODEL) : path;
}

const manifestBeside = (file: CheckpointFile['file']) => join(dirname(weightsFile(file)), 'manifest.json');

function written({ file }: CheckpointFile, path: string): FileFingerprint {
  const hash = createHash('sha256');
  let bytes = 0;
  writeFile(path, (descriptor) => {
    for (const part of safetensorsParts(dividedNames(file.stages), file.metadata)) {
      writeAll(descriptor, part);
      bytes += part.length;
      for (let at = 0; at < part.length; at += CHUNK) hash.update(part.subarray(at, at + CHUNK));
    }
  });
  return { bytes, sha256: hash.digest('hex') };
}

/** Node can only hash less than 2 GiB per call. */
const CHUNK = 2 ** 28;

function manifestOf(wanted: Wanted, checkpoint: CheckpointFile, { seed, depths, model, data }: CopyFacts) {
  const { file, name, manifest } = checkpoint;
  const { path: _path, stages: _stages, ...read } = file;
  const original = weightsFile(file);
  const { size: bytes, mtimeMs: modified } = statSync(original);
  const source = {
    name: wanted.name,
    wanted: wanted.weights,
    checkpoint: name,
    path: resolve(original),
    bytes,
    modified,
    is_ours: manifest !== undefined,
    read,
  };
  const classes = classesOf(checkpoint)?.names;
  if (manifest !== undefined) {
    const beside = manifestBeside(file);
    const whole = existsSync(beside) ? readJsonObject(beside) : manifest;
    return { ...whole, classes, format: FORMAT, source };
  }
  const { mean, std, eval_crop, exif, grey16 } = data;
  const facts = { phase: wanted.key, step: 0, seed, depths, model, mean, std, eval_crop, exif, grey16 };
  return { ...facts, classes, format: FORMAT, source };
}

/**
 * Copies the weights that a phase starts and learns from into the run, if the run has no copies: it was prepared without, or the
 * recipe has changed since. Call it in the process that leads the phase. A phase that has begun without copies, in a run of an
 * earlier version, continues to read the files that the recipe names.
 */
export async function keepMissing(phase: Phase, runDir: string): Promise<void> {
  if (newestStep(runFolder(runDir).phase(phase.name).root) > 0) return;
  keepWeights(runDir, [...(await missingStart(phase, runDir)), ...(await missingTeacher(phase, runDir))]);
}

async function missingStart(phase: Phase, runDir: string): Promise<ReadWeights[]> {
  const wanted = wantedStart(phase.start);
  const isRead = phase.sources.some((source) => source?.startsWith('start.')) || isModule(phase);
  if (wanted === undefined || !isRead || hasCopy(runDir, wanted)) return [];
  const checkpoint = await readGiven(runDir, wanted, { families: familiesIn(phase.model) });
  return [{ wanted, checkpoint, about: startFacts(phase, checkpoint) }];
}

async function missingTeacher(phase: Phase, runDir: string): Promise<ReadWeights[]> {
  const { distill } = phase.settings;
  const wanted = distill === null ? undefined : wantedTeacher(distill);
  if (distill === null || wanted === undefined || hasCopy(runDir, wanted)) return [];
  const checkpoint = await readGiven(runDir, wanted, { families: familiesIn(phase.model) });
  const known = requireTeacher(checkpoint, distill, phase);
  return [{ wanted, checkpoint, about: teacherFacts(known, phase.seed) }];
}

/** The facts of weights that a run starts from; what the weights do not show is as in the run. */
export function startFacts(
  { seed, model, data, familyOf }: Phase,
  { file, manifest }: CheckpointFile,
): CopyFacts {
  const family = familyOf(model);
  const facts = family.factsOf(file.stages, file.path, { ...(manifest?.model ?? model) });
  const section = family.sectionOfStages({ ...model, classes: facts.classes ?? model.classes }, facts);
  return { seed, depths: facts.depths, model: section, data };
}

export function teacherFacts(
  { recipe, depths }: Pick<ModelOfCheckpoint, 'recipe' | 'depths'>,
  seed: number,
): CopyFacts {
  return { seed, depths, model: recipe.model, data: recipe.data };
}
