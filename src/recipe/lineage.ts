import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { TensorData } from '../base/tensor-data.js';
import type { Dataset } from '../data/dataset.js';
import { commonFolder, storedBytes } from '../data/open/identity.js';
import { effectOf } from './key-effects.js';
import type { Phase } from './phase.js';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const lineageSchema = z.object({ parent: sha256.nullable(), recipe: sha256, data: sha256 });

/**
 * Origin of a phase's weights, recorded in its checkpoints as SHA-256 hashes. Modules with the same `parent` fit
 * together, no matter where and from which file they were incubated.
 */
export interface Lineage {
  /** The weights that the phase started from; null if it started from scratch. */
  readonly parent: string | null;
  /** The parts of the recipe that affect the result. */
  readonly recipe: string;
  /** The training images: names, labels, classes and some file sizes. */
  readonly data: string;
}

/** The lineage in a checkpoint's manifest; undefined in checkpoints of versions without lineage. */
export function lineageIn(manifest: Readonly<Record<string, unknown>>): Lineage | undefined {
  return lineageSchema.safeParse(manifest.lineage).data;
}

/** The lineage of a phase that starts from weights with the hash `parent`, or from scratch (null). */
export function lineageOf(phase: Phase, parent: string | null, train: Dataset): Lineage {
  return { parent, recipe: recipeHash(phase), data: dataHash(train) };
}

/**
 * Log messages for a resumed phase whose recipe or images have changed since it began, which changes its result.
 * @param earlier `earlierHashes` of its recipe
 */
export function changesSince(began: Lineage, now: Lineage, earlier: readonly string[] = []): string[] {
  const parts = [
    ['recipe', 'with other settings'],
    ['data', 'with other images'],
  ] as const;
  return parts
    .filter(([part]) => began[part] !== now[part] && !(part === 'recipe' && earlier.includes(began.recipe)))
    .map(([, how]) => `resumes ${how} than it began with: its result will differ`);
}

/**
 * Hash of the weights of stages: their names, dtypes, shapes and bytes, independent of the file they come from. Takes
 * about a second per GB.
 */
export function weightsHash(stages: readonly ReadonlyMap<string, TensorData>[]): string {
  const hash = createHash('sha256');
  for (const [index, stage] of stages.entries()) {
    const tensors = [...stage].sort(([a], [b]) => (a < b ? -1 : 1));
    for (const [name, { dtype, shape, data }] of tensors) {
      hash.update(`${JSON.stringify([index, name, dtype, shape])}\n`);
      for (let at = 0; at < data.length; at += CHUNK) hash.update(data.subarray(at, at + CHUNK));
    }
  }
  return hash.digest('hex');
}

/** Node can only hash less than 2 GiB per call. */
const CHUNK = 2 ** 30;

/** Hash of the settings that affect a phase's result: not image paths, checkpoint intervals or hardware settings. */
export function recipeHash(phase: Phase, unchanging = UNCHANGING): string {
  const model = phase.familyOf(phase.model).identity(phase.config);
  const settings = sayingKeys(phase.settings, 'training', unchanging);
  const data = sayingKeys(phase.data, 'data', unchanging);
  const { name, depths, regimes, undecayed, equalCost, objective, init, local, taskKind } = phase;
  const own = { name, depths, regimes, undecayed, equalCost, objective, settings };
  const starts = phase.sources.map((source) => source !== null);
  // Earlier versions did not have these, so their defaults are not hashed.
  const { zero_init, layer_scale } = phase.model;
  const begins = {
    ...(init !== 'fresh' && { init }),
    ...(local && { local }),
    ...(zero_init && { zero_init }),
    ...(layer_scale !== undefined && { layer_scale }),
    ...(taskKind.section && { [taskKind.name]: sayingKeys(phase.taskSettings, taskKind.name, unchanging) }),
  };
  return jsonHash({ seed: phase.seed, model, data, head: phase.start.head, ...own, starts, ...begins });
}

/** The hashes of the same phase in earlier versions, which included some settings that do not affect the result. */
export function earlierHashes(phase: Phase): string[] {
  const both = [false, true];
  return ['fail', 'replace'].flatMap((bad) =>
    both.flatMap((checkpointing) =>
      both.map((sharded) =>
        recipeHash(phase, {
          'data.bad_images': bad,
          'training.activation_checkpointing': checkpointing,
          'training.optimizer.sharded': sharded,
        }),
      ),
    ),
  );
}

/** Default values of settings that do not affect the result. They stay in the hash because earlier versions included them. */
const UNCHANGING: Readonly<Record<string, unknown>> = {
  'data.bad_images': 'fail',
  'training.activation_checkpointing': false,
  'training.optimizer.sharded': false,
};

/** Settings that earlier versions did not have. Their defaults are not hashed. */
const LATER: Readonly<Record<string, unknown>> = {
  'training.loss': 'cross-entropy',
  'training.bce_threshold': null,
  'training.curriculum': null,
  'training.drop_path_schedule': 'linear',
  'training.class_weights': null,
  'training.optimizer.decay_all': false,
  'training.optimizer.nesterov': true,
  'training.optimizer.adjust_lr': null,
  'training.optimizer.matrix_lr_scale': null,
  'training.optimizer.backbone_lr_scale': null,
  'data.sampling': 'uniform',
  'data.augment.crop': 'default',
  'data.augment.three_augment': false,
};

/** A section without the keys that do not affect the result. */
function sayingKeys(section: object, path: string, unchanging: typeof UNCHANGING): object {
  const kept = Object.entries(section).flatMap(([key, value]): [string, unknown][] => {
    const own = `${path}.${key}`;
    if (Object.hasOwn(LATER, own) && LATER[own] === value) return [];
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return [[key, sayingKeys(value, own, unchanging)]];
    }
    if (effectOf(own) !== 'none') return [[key, value]];
    return Object.hasOwn(unchanging, own) ? [[key, unchanging[own]]] : [];
  });
  return Object.fromEntries(kept);
}

/** Maximum number of images whose sizes are hashed, spread evenly over the data set. */
const SIZED = 1000;

/** Hash of a data set's file names (relative to its folder), labels, objects, classes and some file sizes; no pixels are read. */
export function dataHash(dataset: Dataset): string {
  const { length, classes } = dataset;
  const hash = createHash('sha256').update(`${JSON.stringify([length, classes])}\n`);
  const folder = commonFolder(dataset);
  const stride = Math.max(1, Math.ceil(length / SIZED));
  for (let i = 0; i < length; i++) {
    const size = i % stride === 0 ? storedBytes(dataset, i) : 0;
    hash.update(`${dataset.describe(i).slice(folder)}\0${dataset.label(i)}\0${size}\n`);
    if (dataset.objects !== undefined) hash.update(`${JSON.stringify(dataset.objects(i))}\n`);
  }
  return hash.digest('hex');
}

function jsonHash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, sorted)).digest('hex');
}

/** JSON replacer that sorts the keys of objects, because a recipe read from JSON may have them in a different order. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
