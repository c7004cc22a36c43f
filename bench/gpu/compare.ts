/** The maximum of some numbers and 0; NaN counts as infinite. */
export function largest(values: Iterable<number>): number {
  let most = 0;
  for (const value of values) most = Number.isNaN(value) ? Number.POSITIVE_INFINITY : Math.max(most, value);
  return most;
}

/** The maximum |a / b - 1|; infinite if the lengths differ or are 0. */
export function relative(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  return largest(a.map((value, i) => Math.abs(value / b[i] - 1)));
}

/** The maximum |a - b|; infinite if the lengths differ. */
export function apart(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) return Number.POSITIVE_INFINITY;
  return largest(Array.from(a, (value, i) => Math.abs(value - b[i])));
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1];
}
