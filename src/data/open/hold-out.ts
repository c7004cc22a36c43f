import { hash } from 'node:crypto';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../dataset.js';
import { indicesByClass, picked } from '../loader/sampler.js';
import { type DataPlace, imageNames } from './identity.js';

/** Which training images are held out for evaluation. */
export interface HoldOut {
  /** Below 1: their share of the training images; otherwise their number. */
  readonly val: number;
  /** Selects other images. It is independent of the seed of a run. Default 0. */
  readonly seed?: number | undefined;
}

/**
 * Takes a validation set out of training images. Each class gives its share of it, and at least one image if it has two or
 * more. The images of a class are ranked by a hash of the seed and their name, and the first ones are held out. The selection
 * therefore does not depend on the location of the data set or on the order of its classes, and hardly changes if images are
 * added.
 *
 * @throws InputError if a class would have no images left for training.
 */
export function holdOut(
  dataset: Dataset,
  { val, seed = 0 }: HoldOut,
  place: DataPlace,
): { readonly train: Dataset; readonly val: Dataset } {
  const { length } = dataset;
  const total = heldOutCount({ val }, length);
  const perClass = indicesByClass(dataset);
  const counts = heldOutPerClass(
    perClass.map((indices) => indices.length),
    total,
  );
  const nameOf = imageNames(dataset, place);
  const isHeldOut = new Uint8Array(length);
  for (const [label, indices] of perClass.entries()) {
    for (const index of firstByHash(indices, counts[label], (i) => rankOf(seed, nameOf(i))))
      isHeldOut[index] = 1;
  }
  const part = (held: number) => {
    const indices = new Int32Array(held === 1 ? total : length - total);
    let at = 0;
    for (let i = 0; i < length; i++) if (isHeldOut[i] === held) indices[at++] = i;
    return picked(dataset, indices);
  };
  return { train: { ...part(0), passedOver: dataset.passedOver ?? [] }, val: part(1) };
}

/** The number of images that are held out of `images` training images. */
export function heldOutCount({ val }: Pick<HoldOut, 'val'>, images: number): number {
  return val < 1 ? Math.max(1, Math.round(val * images)) : val;
}

/**
 * The number of images that each class gives, proportional to its size.
 * @param sizes number of images of each class
 * @throws InputError if a class with images would have none left
 */
export function heldOutPerClass(sizes: readonly number[], total: number): number[] {
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const most = sizes.map((size) => Math.max(size - 1, 0));
  const possible = most.reduce((sum, size) => sum + size, 0);
  if (total > possible) {
    throw new InputError(
      `data.split cannot hold out ${total} of ${all} training images: each class keeps at least one for training`,
      { hint: possible === 0 ? 'Use more images.' : `Set data.split.val to at most ${possible}.` },
    );
  }
  const shares = sizes.map((size) => (total * size) / all);
  const counts = shares.map((share, label) => Math.min(Math.max(Math.floor(share), 1), most[label]));
  let missing = total - counts.reduce((sum, count) => sum + count, 0);
  for (; missing > 0; missing--)
    counts[extreme(counts, (c, i) => (c < most[i] ? shares[i] - c : undefined))]++;
  for (; missing < 0; missing++) counts[extreme(counts, (c, i) => (c > 0 ? c - shares[i] : undefined))]--;
  return counts;
}

/** Index of the first count with the highest value. */
function extreme(
  counts: readonly number[],
  scoreOf: (count: number, label: number) => number | undefined,
): number {
  let best = -1;
  let highest = Number.NEGATIVE_INFINITY;
  for (const [label, count] of counts.entries()) {
    const value = scoreOf(count, label);
    if (value === undefined || value <= highest) continue;
    best = label;
    highest = value;
  }
  return best;
}

function firstByHash(indices: readonly number[], count: number, rank: (index: number) => number): number[] {
  const ranked = indices.map((index) => ({ index, rank: rank(index) }));
  ranked.sort((a, b) => a.rank - b.rank || a.index - b.index);
  return ranked.slice(0, count).map(({ index }) => index);
}

/** 48 bits of a hash. */
function rankOf(seed: number, name: string): number {
  return hash('sha256', `${seed}\n${name.normalize('NFC')}`, 'buffer').readUIntBE(0, 6);
}
