import { InputError } from '../../base/errors.js';
import { permutation, randomStream } from '../../base/random.js';
import type { Dataset } from '../dataset.js';

/** The values that determine the order of an epoch. */
interface OrderKey {
  readonly seed: number;
  readonly phase: string;
  readonly epoch: number;
  /** If false, every epoch has the data set's order. */
  readonly shuffle: boolean;
}

/** The order in which an epoch visits a data set; it has every index 0 ... length-1 once. */
export function epochOrder(length: number, { seed, phase, epoch, shuffle }: OrderKey): Int32Array {
  return shuffle
    ? permutation(length, [seed, 'order', phase, epoch])
    : Int32Array.from({ length }, (_, i) => i);
}

/**
 * An order of `length` images in which every class is equally likely: each image is drawn with replacement, first its class, then
 * one of its images. This is the distribution of torch's `WeightedRandomSampler` with the weight 1 / (images of its class)
 * for each image. Classes without images are not drawn.
 *
 * @param byClass the indices of the images of each class
 */
export function balancedOrder(
  byClass: readonly (readonly number[])[],
  length: number,
  { seed, phase, epoch }: Omit<OrderKey, 'shuffle'>,
): Int32Array {
  const classes = byClass.filter((indices) => indices.length > 0);
  const random = randomStream([seed, 'balanced', phase, epoch]);
  return Int32Array.from({ length }, () => {
    const indices = classes[random.integer(0, classes.length - 1)];
    return indices[random.integer(0, indices.length - 1)];
  });
}

/** For each place in an order, how often its image occurs before it. */
export function viewNumbers(order: Int32Array): Uint32Array {
  const seen = new Map<number, number>();
  return Uint32Array.from(order, (index) => {
    const view = seen.get(index) ?? 0;
    seen.set(index, view + 1);
    return view;
  });
}

interface RepeatOptions {
  /** Number of consecutive views of an image. DeiT uses 3. */
  readonly repeats: number;
  /** Number of processes that share the epoch; `rank` is the index of this process, from 0. */
  readonly replicas: number;
  readonly rank: number;
}

/** The images that one process visits in an epoch: image `indices[i]` as view number `views[i]`, from 0. */
export interface RepeatedOrder {
  readonly indices: Int32Array;
  readonly views: Uint8Array | Uint32Array;
}

/**
 * Repeated augmentation (Hoffer et al. 2020, arXiv 1901.09335) as in DeiT's RASampler. Each image of the order is repeated
 * `repeats` times, and the views are dealt to the replicas in turn, so that the views of an image fall in the same step. Each
 * replica gets floor(n / 256) * 256 / replicas (rounded down) views, so an epoch has about n / repeats different images.
 *
 * @throws InputError if nothing is left: there are fewer than 256 images, or more replicas than images.
 */
export function repeatedOrder(order: Int32Array, { repeats, replicas, rank }: RepeatOptions): RepeatedOrder {
  const length = Math.floor((Math.floor(order.length / 256) * 256) / replicas);
  if (length === 0) {
    const least = Math.ceil(Math.max(replicas, 1) / 256) * 256;
    throw new InputError(
      `repeated augmentation uses a multiple of 256 images per epoch: ${order.length} are too few`,
      { hint: `Use at least ${least} training images, or no repeated augmentation (repeats 1).` },
    );
  }
  const indices = new Int32Array(length);
  const views = new Uint8Array(length);
  for (let i = 0; i < length; i++) {
    const place = rank + i * replicas;
    indices[i] = order[Math.floor(place / repeats)];
    views[i] = place % repeats;
  }
  return { indices, views };
}

/** A subset of a data set, in the data set's order. */
interface Subset extends Dataset {
  /** Index of each image in the whole data set. */
  readonly indices: Int32Array;
}

/**
 * The first `limit` images, spread over the classes as evenly as possible, in the data set's order. The selection is always the
 * same. Without a limit, the whole data set.
 */
export function subset(dataset: Dataset, limit?: number): Dataset {
  if (limit === undefined || limit >= dataset.length) return dataset;
  return picked(dataset, balancedFirst(dataset, limit));
}

/**
 * A random share of each class: round(fraction * images), at least one. The selection depends only on the data set, the seed and
 * the fraction. With the same seed, a larger fraction includes all images of a smaller one.
 *
 * @throws InputError if the fraction is not in (0, 1].
 */
export function classSubset(dataset: Dataset, fraction: number, seed: number): Subset {
  if (!(fraction > 0 && fraction <= 1)) {
    throw new InputError(`invalid fraction of the images: ${fraction}`, {
      hint: 'It must be above 0 and at most 1.',
    });
  }
  const chosen = indicesByClass(dataset).flatMap((indices, label) => {
    const count = Math.min(Math.max(Math.round(fraction * indices.length), 1), indices.length);
    const order = permutation(indices.length, [seed, 'fraction', label]);
    return Array.from(order.subarray(0, count), (place) => indices[place]);
  });
  return picked(dataset, Int32Array.from(chosen).sort());
}

/** The images `indices` of a data set. */
export function picked(dataset: Dataset, indices: Int32Array): Subset {
  const { labelMap, objects } = dataset;
  return {
    indices,
    length: indices.length,
    classes: dataset.classes,
    isUnnamed: dataset.isUnnamed,
    label: (i) => dataset.label(indices[i]),
    describe: (i) => dataset.describe(indices[i]),
    source: (i) => dataset.source(indices[i]),
    ...(labelMap && { labelMap: (i) => labelMap(indices[i]) }),
    ...(objects && { objects: (i) => objects(indices[i]), categoryIds: dataset.categoryIds }),
  };
}

/** Takes the first image of each class, then the second of each, and so on. */
function balancedFirst(dataset: Dataset, limit: number): Int32Array {
  const classes = indicesByClass(dataset);
  const chosen: number[] = [];
  for (let rank = 0; chosen.length < limit; rank++) {
    for (const indices of classes) if (rank < indices.length) chosen.push(indices[rank]);
  }
  return Int32Array.from(chosen.slice(0, limit)).sort();
}

/** The indices of the images of each class, by label. */
export function indicesByClass(dataset: Dataset): number[][] {
  const indices = dataset.classes.map((): number[] => []);
  for (let i = 0; i < dataset.length; i++) indices[dataset.label(i)].push(i);
  return indices;
}

/** Number of images of each class, by label. */
export function classCountsOf(dataset: Dataset): number[] {
  const counts = dataset.classes.map(() => 0);
  for (let i = 0; i < dataset.length; i++) counts[dataset.label(i)]++;
  return counts;
}
