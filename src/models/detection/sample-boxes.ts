import { type RandomKey, randomStream } from '../../base/random.js';

export interface SampleOptions {
  /** Number of boxes in all. */
  readonly count: number;
  /** Largest share of positive boxes. Negative ones fill the rest. */
  readonly positiveShare: number;
  /** Key of the random numbers. */
  readonly key: RandomKey;
}

/**
 * Draws positive and negative boxes from the labels of `matchBoxes`. The draw depends only on the labels and the key.
 * @returns their indices, ascending
 *
 * @example
 * sampleBoxes(Int8Array.of(1, 0, 0, -1), { count: 2, positiveShare: 0.5, key: [0, 'rpn'] }).positive; // 0
 */
export function sampleBoxes(
  labels: Int8Array,
  { count, positiveShare, key }: SampleOptions,
): { readonly positive: Int32Array; readonly negative: Int32Array } {
  const of = (label: number) => Int32Array.from(labels.keys()).filter((i) => labels[i] === label);
  const positive = drawn(of(1), Math.floor(count * positiveShare), [...key, 'positive']);
  const negative = drawn(of(0), count - positive.length, [...key, 'negative']);
  return { positive, negative };
}

/** `count` of the values, or all if there are fewer, ascending. */
function drawn(values: Int32Array, count: number, key: RandomKey): Int32Array {
  if (values.length <= count) return values;
  const stream = randomStream(key);
  for (let i = 0; i < count; i++) {
    const j = stream.integer(i, values.length - 1);
    const kept = values[i];
    values[i] = values[j];
    values[j] = kept;
  }
  return values.slice(0, count).sort();
}
