import { createHash } from 'node:crypto';
import { uniformFloat64 } from 'pure-rand/distribution/uniformFloat64';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plusFromState } from 'pure-rand/generator/xoroshiro128plus';

/**
 * Key of a random stream: the run's seed, then names and numbers such as the phase, the epoch and the sample or step.
 * It never contains the worker, process or machine that draws the numbers.
 */
export type RandomKey = readonly (string | number)[];

/** A stream of random numbers that is a pure function of its key. */
export interface RandomStream {
  /** Uniform in [0, 1), 53 bits. */
  uniform(): number;
  /** Uniform integer in [low, high], both included. */
  integer(low: number, high: number): number;
}

/**
 * @example
 * const stream = randomStream([0, 'augment', 'PT', 3, 17]);
 * stream.uniform(); // always the same for this key
 * stream.integer(0, 9);
 */
export function randomStream(key: RandomKey): RandomStream {
  const digest = digestOf(key);
  const generator = xoroshiro128plusFromState([0, 4, 8, 12].map((at) => digest.readInt32LE(at)));
  return {
    uniform: () => uniformFloat64(generator),
    integer: (low, high) => uniformInt(generator, low, high),
  };
}

/** A seed for libtorch's generators: an integer in [0, 2^53). */
export function seedOf(key: RandomKey): number {
  const digest = digestOf(key);
  return digest.readUInt32LE(0) * 2 ** 21 + (digest.readUInt32LE(4) >>> 11);
}

/** A uniformly random permutation of 0 ... length-1 (Fisher-Yates). */
export function permutation(length: number, key: RandomKey): Int32Array {
  const stream = randomStream(key);
  const order = Int32Array.from({ length }, (_, i) => i);
  for (let i = length - 1; i > 0; i--) {
    const j = stream.integer(0, i);
    const kept = order[i];
    order[i] = order[j];
    order[j] = kept;
  }
  return order;
}

function digestOf(key: RandomKey): Buffer {
  return createHash('sha256').update(JSON.stringify(key)).digest();
}
