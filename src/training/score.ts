import { readLater } from '../torch/later.js';
import { Tensor } from '../torch/tensor.js';
import type { Score, Sums } from './task.js';

/**
 * Starts to read a score without waiting for a GPU.
 * @returns a function that waits for it
 *
 * @example
 * const sums = readScore({ loss: ones([]), hits: 1 });
 * sums(); // { loss: 1, hits: 1 }
 */
export function readScore(score: Score): () => Sums {
  const entries = Object.entries(score);
  const later = readLater(entries.map(([, value]) => value).filter((value) => value instanceof Tensor));
  return () => {
    const read = [...later.values()];
    const sums = entries.map(([name, value]) => [name, value instanceof Tensor ? read.shift() : value]);
    return Object.fromEntries(sums);
  };
}
