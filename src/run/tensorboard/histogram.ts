import type { Histogram } from './events.js';

/**
 * Histogram of `values`, in equal buckets from the minimum to the maximum. Ignores values that are not finite; undefined
 * if there are no finite values.
 */
export function histogramOf(values: Float32Array, buckets = 64): Histogram | undefined {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return undefined;
  let [min, max, sum, sumOfSquares] = [Infinity, -Infinity, 0, 0];
  for (const value of finite) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    sumOfSquares += value * value;
  }
  // Turns -0 into 0, because a plot would print the sign.
  [min, max] = [min + 0, max + 0];
  const width = (max - min) / buckets;
  const common = { min, max, count: finite.length, sum, sumOfSquares };
  if (width === 0) return { ...common, limits: [max], counts: [finite.length] };
  const counts = new Array<number>(buckets).fill(0);
  for (const value of finite) counts[Math.min(Math.floor((value - min) / width), buckets - 1)]++;
  const limits = counts.map((_, index) => (index === buckets - 1 ? max : min + (index + 1) * width));
  return { ...common, limits, counts };
}
