/**
 * Kolmogorov-Smirnov: the largest distance between the draws' distribution and `cdf`, times the root of their
 * number. For draws from this distribution, one in a thousand sets exceeds `KS_LIMIT`.
 */
export function ksStatistic(draws: readonly number[], cdf: (x: number) => number): number {
  const sorted = [...draws].sort((a, b) => a - b);
  const n = sorted.length;
  const distances = sorted.map((x, i) => Math.max(cdf(x) - i / n, (i + 1) / n - cdf(x)));
  return Math.sqrt(n) * distances.reduce((most, distance) => Math.max(most, distance), 0);
}

export const KS_LIMIT = 1.95;

/** Pearson's statistic of counts against their expected shares. */
export function chiSquared(counts: readonly number[], shares: readonly number[]): number {
  if (counts.length !== shares.length)
    throw new RangeError(`${counts.length} counts, ${shares.length} shares`);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.reduce((sum, count, i) => sum + (count - all * shares[i]) ** 2 / (all * shares[i]), 0);
}

/** Exceeded once in a thousand times, by degrees of freedom: one less than there are counts. */
export const CHI_SQUARED_LIMIT: Readonly<Record<number, number>> = {
  1: 10.83,
  2: 13.82,
  4: 18.47,
  5: 20.52,
  9: 27.88,
  12: 32.91,
  14: 36.12,
};

/** Counts of the keys that occur, in the order of `keys`; a key beside them is an error. */
export function countsOf<K>(keys: readonly K[], drawn: readonly K[]): number[] {
  const counts = new Map(keys.map((key) => [key, 0]));
  for (const key of drawn) {
    const count = counts.get(key);
    if (count === undefined) throw new RangeError(`${String(key)} is not expected`);
    counts.set(key, count + 1);
  }
  return [...counts.values()];
}
