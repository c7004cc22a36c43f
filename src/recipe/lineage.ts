import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { TensorData } from '../base/tensor-data.js';
import type { Dataset } from '../data/dataset.js';
import { commonFolder, storedBytes } from '../data/open/identity.js';
import { familyOf } from '../models/families/families.js';
import { effectOf } from './key-effects.js';
import type { Phase } from './phases.js';
import { modelConfigOf } from './recipe-model.js';
import type { Recipe } from './recipe-schema.js';

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

const lineageSchema = z.object({ parent: sha256.nullable(), recipe: sha256, data: sha256 });

/**
 * Where a phase's weights come from, as its checkpoints tell: SHA-256 each. Modules fit together that have the same
 * `parent`, wherever and from whichever file they were incubated.
 */
export interface Lineage {
  /** The weights that the phase started from; null where there were none. */
  readonly parent: string | null;
  /** What of the recipe has a say in its result. */
  readonly recipe: string;
  /** The training images: names, labels, classes, some sizes. */
  readonly data: string;
}

/** What a checkpoint's manifest tells; nothing in those of before there was lineage. */
export function lineageIn(manifest: Readonly<Record<string, unknown>>): Lineage | undefined {
  return lineageSchema.safeParse(manifest.lineage).data;
}

/** The lineage of a phase that starts from weights of the hash `parent`, or from none. */
export function lineageOf(recipe: Recipe, phase: Phase, parent: string | null, train: Dataset): Lineage {
  return { parent, recipe: recipeHash(recipe, phase), data: dataHash(train) };
}

/**
 * What of a phase that goes on is not as it was when it began, for its log: it will not end as it would have.
 * @param earlier `earlierHashes` of its recipe
 */
export function changesSince(began: Lineage, now: Lineage, earlier: readonly string[] = []): string[] {
  const parts = [
    ['recipe', 'by other settings'],
    ['data', 'with other images'],
  ] as const;
  return parts
    .filter(([part]) => began[part] !== now[part] && !(part === 'recipe' && earlier.includes(began.recipe)))
    .map(([, how]) => `goes on ${how} than it began with: it will not end as it would have`);
}

/**
 * Hash of the weights of stages: of their names, dtypes, shapes and bytes, not of the file they come from. It takes a
 * second for each GB or so.
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

/** Node hashes less than 2 GiB at a time. */
const CHUNK = 2 ** 30;

/** Hash of what of a recipe has a say in a phase's result: not where images lie, how often is saved, what runs it. */
export function recipeHash(recipe: Recipe, phase: Phase, unchanging = UNCHANGING): string {
  const model = familyOf(recipe.model).identity(modelConfigOf(recipe));
  const settings = sayingKeys(phase.settings, 'training', unchanging);
  const data = sayingKeys(recipe.data, 'data', unchanging);
  const { name, depths, regimes, undecayed, equalCost, objective } = phase;
  const own = { name, depths, regimes, undecayed, equalCost, objective, settings };
  const starts = phase.sources.map((source) => source !== null);
  return jsonHash({ seed: recipe.seed, model, data, head: recipe.start.head, ...own, starts });
}

/** The hashes that earlier versions gave the same recipe: they included some settings that have no say in a result. */
export function earlierHashes(recipe: Recipe, phase: Phase): string[] {
  const both = [false, true];
  return ['fail', 'replace'].flatMap((bad) =>
    both.flatMap((checkpointing) =>
      both.map((sharded) =>
        recipeHash(recipe, phase, {
          'data.bad_images': bad,
          'training.activation_checkpointing': checkpointing,
          'training.optimizer.sharded': sharded,
        }),
      ),
    ),
  );
}

/** Values, in the hash, of settings that have no say in a result, but were in the hashes of earlier versions: their defaults. */
const UNCHANGING: Readonly<Record<string, unknown>> = {
  'data.bad_images': 'fail',
  'training.activation_checkpointing': false,
  'training.optimizer.sharded': false,
};

/** A section without the keys that have no say in a result. */
function sayingKeys(section: object, path: string, unchanging: typeof UNCHANGING): object {
  const kept = Object.entries(section).flatMap(([key, value]): [string, unknown][] => {
    const own = `${path}.${key}`;
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
      return [[key, sayingKeys(value, own, unchanging)]];
    }
    if (effectOf(own) !== 'none') return [[key, value]];
    return Object.hasOwn(unchanging, own) ? [[key, unchanging[own]]] : [];
  });
  return Object.fromEntries(kept);
}

/** Sizes of so many images, spread over all, are looked at. */
const SIZED = 1000;

/** Hash of a data set's names below its folder, labels, classes and some sizes; no pixels are read. */
export function dataHash(dataset: Dataset): string {
  const { length, classes } = dataset;
  const hash = createHash('sha256').update(`${JSON.stringify([length, classes])}\n`);
  const folder = commonFolder(dataset);
  const stride = Math.max(1, Math.ceil(length / SIZED));
  for (let i = 0; i < length; i++) {
    const size = i % stride === 0 ? storedBytes(dataset, i) : 0;
    hash.update(`${dataset.describe(i).slice(folder)}\0${dataset.label(i)}\0${size}\n`);
  }
  return hash.digest('hex');
}

function jsonHash(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value, sorted)).digest('hex');
}

/** Objects with their keys in order: a recipe read from JSON has them in another. */
function sorted(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
}
