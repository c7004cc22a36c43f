import { permutation } from '../base/random.js';
import type { Dataset } from './dataset.js';

/** What the order of an epoch depends on. */
export interface OrderKey {
  readonly seed: number;
  readonly phase: string;
  readonly epoch: number;
  /** false: the data set's own order, in every epoch. */
  readonly shuffle: boolean;
}

/** The order in which an epoch visits a data set: every index 0 ... length-1 once. */
export function epochOrder(length: number, { seed, phase, epoch, shuffle }: OrderKey): Int32Array {
  return shuffle
    ? permutation(length, [seed, 'order', phase, epoch])
    : Int32Array.from({ length }, (_, i) => i);
}

/**
 * The first `limit` images, as even over the classes as the data set allows, in the data set's
 * order; always the same ones. All of it where there is no limit.
 */
export function subset(dataset: Dataset, limit?: number): Dataset {
  if (limit === undefined || limit >= dataset.length) return dataset;
  const chosen = balancedFirst(dataset, limit);
  return {
    length: chosen.length,
    classes: dataset.classes,
    label: (i) => dataset.label(chosen[i]),
    describe: (i) => dataset.describe(chosen[i]),
    source: (i) => dataset.source(chosen[i]),
  };
}

/** Takes the first image of each class, then the second of each, and so on. */
function balancedFirst(dataset: Dataset, limit: number): Int32Array {
  const byClass = dataset.classes.map((): number[] => []);
  for (let i = 0; i < dataset.length; i++) byClass[dataset.label(i)].push(i);
  const chosen: number[] = [];
  for (let rank = 0; chosen.length < limit; rank++) {
    for (const indices of byClass) if (rank < indices.length) chosen.push(indices[rank]);
  }
  return Int32Array.from(chosen.slice(0, limit)).sort();
}
