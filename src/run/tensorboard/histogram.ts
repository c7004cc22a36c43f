import type { Histogram } from './events.js';

/**
 * How `values` are spread, in equal buckets from the least to the greatest. Values that are not finite are
 * left out; nothing where none is left.
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
  // No negative zero: a plot would print it.
  [min, max] = [min + 0, max + 0];
  const width = (max - min) / buckets;
  const common = { min, max, count: finite.length, sum, sumOfSquares };
  if (width === 0) return { ...common, limits: [max], counts: [finite.length] };
  const counts = new Array<number>(buckets).fill(0);
  for (const value of finite) counts[Math.min(Math.floor((value - min) / width), buckets - 1)]++;
  const limits = counts.map((_, index) => (index === buckets - 1 ? max : min + (index + 1) * width));
  return { ...common, limits, counts };
}
