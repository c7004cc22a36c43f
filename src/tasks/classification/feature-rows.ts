/** The features of labelled images, row by row, wherever they are stored. */
export interface FeatureRows {
  /** Number of rows, N. */
  readonly count: number;
  /** Number of features of an image, D. */
  readonly width: number;
  /** [N]: the label of each row. */
  readonly labels: Int32Array;
  /** Rows `from` ... `to` - 1, [to - from, D]. */
  read(from: number, to: number): Float32Array;
}

/** Rows that are in memory. */
export function rowsInMemory(features: Float32Array, labels: Int32Array): FeatureRows {
  const count = labels.length;
  const width = count === 0 ? 0 : features.length / count;
  return { count, width, labels, read: (from, to) => features.subarray(from * width, to * width) };
}

/** [from, to) of consecutive parts of at most `size` rows. */
export function* rowRanges(count: number, size: number): Iterable<readonly [from: number, to: number]> {
  for (let from = 0; from < count; from += size) yield [from, Math.min(from + size, count)];
}
