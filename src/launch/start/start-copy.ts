import { createHash } from 'node:crypto';
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { withFamilies } from '../../models/families/families.js';
import type { ModelFamily } from '../../models/family.js';
import { type ModelFile, readModelFile } from '../../models/model-file/model-file.js';
import type { Distill } from '../../phase/given-weights.js';
import type { Phase } from '../../recipe/phase.js';
import type { StartSettings } from '../../recipe/recipe-start.js';
import { modelDamage } from '../../run/checkpoint-store-manifest.js';
import { readJson, runFolder } from '../../run/run-folder.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import {
  type CheckpointFile,
  type CheckpointFileOptions,
  type Manifest,
  manifestSchema,
  readCheckpointFile,
} from './checkpoint-file.js';

/** Weights that a run needs and does not train itself. */
export interface Wanted {
  /** The copy's folder in RUN/start. */
  readonly id: string;
  /** The key of the recipe that names them. */
  readonly key: 'start.meta' | 'start.model' | 'distill.teacher';
  /** As the recipe names them. */
  readonly name: string;
  readonly weights: WeightsKind | undefined;
}

/** The weights that a run starts from; undefined if it starts from scratch. */
export function wantedStart({ meta, model, weights }: StartSettings): Wanted | undefined {
  if (model !== undefined) return { id: 'model', key: 'start.model', name: model, weights };
  return meta === undefined ? undefined : { id: 'meta', key: 'start.meta', name: meta, weights };
}

export function wantedTeacher({ teacher: name, weights }: Pick<Distill, 'teacher' | 'weights'>): Wanted {
  // Phases may have different teachers.
  const hash = createHash('sha256').update(JSON.stringify([name, weights ?? null]));
  return { id: `teacher-${hash.digest('hex').slice(0, 8)}`, key: 'distill.teacher', name, weights };
}

/** All weights that phases of a run need and that the run does not train. */
export function wantedBy(phases: readonly Phase[]): Wanted[] {
  const all = phases.flatMap(({ start, settings: { distill } }) => [
    wantedStart(start) ?? [],
    distill === null ? [] : wantedTeacher(distill),
  ]);
  return [...new Map(all.flat().map((each) => [each.id, each])).values()];
}

/** How a copy was made, so that reading it gives what reading the file gave. */
const copySource = z.looseObject({
  name: z.string(),
  wanted: z.enum(['ema', 'raw']).optional(),
  /** The name in results. */
  checkpoint: z.string(),
  /** The file that was copied, to notice that it has changed. */
  path: z.string(),
  bytes: z.number(),
  modified: z.number(),
  /** Whether a run of this program wrote it, with this manifest. */
  is_ours: z.boolean(),
  /** The parts of a `ModelFile` beside the tensors. */
  read: z.looseObject({
    format: z.enum(['safetensors', 'checkpoint', 'torch']),
    layout: z.string(),
    chosen: z.looseObject({ kind: z.enum(['ema', 'raw']) }).optional(),
  }),
});

type CopySource = z.infer<typeof copySource>;

const copyManifest = z.looseObject({ source: copySource });

export function copyFolder(runDir: string, { id }: Wanted): string {
  return join(runFolder(runDir).start, id);
}

/**
 * Reads weights that a run starts or learns from: the run's copy. Runs of earlier versions have no copy, so the file that the
 * recipe names is read.
 * @throws InputError if the copy is damaged, or there is neither a copy nor a readable file
 */
export async function readGiven(
  runDir: string,
  wanted: Wanted,
  options: CheckpointFileOptions = {},
): Promise<CheckpointFile> {
  return (
    (await readCopy(runDir, wanted, options.families)) ??
    (await readCheckpointFile(wanted.name, { ...options, weights: wanted.weights }))
  );
}

/**
 * The run's copy of weights, verified while it is read; undefined if the run has no copy of these weights.
 * @throws InputError if it is damaged
 */
export async function readCopy(
  runDir: string,
  wanted: Wanted,
  families?: readonly ModelFamily[],
): Promise<CheckpointFile | undefined> {
  const source = sourceOfCopy(runDir, wanted);
  if (source === undefined) return undefined;
  const folder = copyFolder(runDir, wanted);
  const hash = createHash('sha256');
  try {
    const file = await readModelFile(folder, { families, seen: (bytes) => hash.update(bytes) });
    const damage = modelDamage(folder, hash.digest('hex'));
    if (damage !== undefined) throw new InputError(damage);
    const manifest = source.is_ours ? manifestIn(folder, families) : undefined;
    // What was read beside the tensors is as it was.
    return { name: source.checkpoint, file: { ...file, ...(source.read as Partial<ModelFile>) }, manifest };
  } catch (error) {
    throw damagedCopy(folder, wanted, error);
  }
}

function manifestIn(folder: string, families: readonly ModelFamily[] = []): Manifest {
  const manifest = manifestSchema.parse(readJson(join(folder, 'manifest.json')));
  return { ...manifest, model: withFamilies(manifest.model, families) };
}

/** Whether a run has a copy of these weights. Reads no tensors. */
export function hasCopy(runDir: string, wanted: Wanted): boolean {
  return sourceOfCopy(runDir, wanted) !== undefined;
}

/** A note if the file that was copied has changed since; undefined if not, or if it no longer exists. */
export function changeSinceCopy(runDir: string, wanted: Wanted): string | undefined {
  const source = sourceOfCopy(runDir, wanted);
  const stat = source && statSync(source.path, { throwIfNoEntry: false });
  if (source === undefined || stat === undefined) return undefined;
  if (stat.size === source.bytes && stat.mtimeMs === source.modified) return undefined;
  return (
    `${wanted.key} ${wanted.name} was changed after the run copied it: the run keeps its copy in ` +
    `${copyFolder(runDir, wanted)}; to use the changed file, start a run in another folder`
  );
}

function sourceOfCopy(runDir: string, wanted: Wanted): CopySource | undefined {
  const folder = copyFolder(runDir, wanted);
  const path = join(folder, 'manifest.json');
  if (!existsSync(folder)) return undefined;
  const found = existsSync(path) ? copyManifest.safeParse(readJson(path)).data : undefined;
  if (found === undefined) throw damagedCopy(folder, wanted, `${path} is missing or invalid`);
  const { source } = found;
  if (source.name !== wanted.name) return undefined;
  // The run records which of several weights it has chosen.
  const isSame = wanted.weights === source.wanted || wanted.weights === source.read.chosen?.kind;
  return isSame ? source : undefined;
}

function damagedCopy(folder: string, { key, name }: Wanted, reason: unknown): InputError {
  const text = reason instanceof Error ? reason.message : String(reason);
  return new InputError(`${folder}: the run's copy of ${key} ${name} is damaged: ${text}`, {
    hint: `restore the folder from a backup; if ${name} is still the same file, delete the folder, and it is read again`,
  });
}
