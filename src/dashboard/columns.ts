/** A growing table of numbers with one column per name; values missing in a row are NaN. */
export interface Columns<Name extends string> {
  readonly names: readonly Name[];
  readonly length: number;
  push(row: (name: Name) => unknown): void;
  /** The values so far; invalid after the next `push`. */
  column(name: Name): Float64Array;
  clear(): void;
}

const FIRST = 256;

export function createColumns<Name extends string>(names: readonly Name[]): Columns<Name> {
  let length = 0;
  let capacity = FIRST;
  let store = names.map(() => new Float64Array(capacity));

  const grow = () => {
    capacity *= 2;
    store = store.map((column) => {
      const larger = new Float64Array(capacity);
      larger.set(column);
      return larger;
    });
  };

  return {
    names,
    get length() {
      return length;
    },
    push: (row) => {
      if (length === capacity) grow();
      names.forEach((name, i) => {
        const value = row(name);
        store[i][length] = typeof value === 'number' ? value : Number.NaN;
      });
      length++;
    },
    column: (name) => store[names.indexOf(name)].subarray(0, length),
    clear: () => {
      length = 0;
    },
  };
}

/**
 * Selects rows that preserve the shape of a curve: the range is cut into shares with equal numbers of rows, and the first,
 * minimum, maximum and last row of each share are kept. The result therefore contains every extreme exactly. A curve with few
 * points is kept whole.
 *
 * @param x ascending
 * @param range selects rows with `from <= x <= to`, plus one row on each side, so that lines reach the edge
 * @param most maximum number of rows
 * @returns ascending row numbers
 */
export function pickRows(
  x: Float64Array,
  y: Float64Array,
  { range, most }: { readonly range?: readonly [from: number, to: number]; readonly most: number },
): number[] {
  const begin = range === undefined ? 0 : Math.max(0, lowerBound(x, range[0]) - 1);
  const end = range === undefined ? x.length : Math.min(x.length, upperBound(x, range[1]) + 1);
  const count = end - begin;
  if (count <= most) return Array.from({ length: Math.max(0, count) }, (_, i) => begin + i);

  const shares = Math.max(1, Math.floor(most / 4));
  const rows: number[] = [];
  for (let share = 0; share < shares; share++) {
    const first = begin + Math.floor((share * count) / shares);
    const after = begin + Math.floor(((share + 1) * count) / shares);
    for (const row of extremes(y, first, after)) if (row !== rows.at(-1)) rows.push(row);
  }
  return rows;
}

function extremes(y: Float64Array, first: number, after: number): number[] {
  let low = -1;
  let high = -1;
  for (let row = first; row < after; row++) {
    if (Number.isNaN(y[row])) continue;
    if (low < 0 || y[row] < y[low]) low = row;
    if (high < 0 || y[row] > y[high]) high = row;
  }
  return [first, low, high, after - 1].filter((row) => row >= 0).sort((a, b) => a - b);
}

/** The first row with x >= value. */
function lowerBound(x: Float64Array, value: number): number {
  return bisect(x, (at) => at >= value);
}

/** The first row with x > value. */
function upperBound(x: Float64Array, value: number): number {
  return bisect(x, (at) => at > value);
}

function bisect(x: Float64Array, isAfter: (value: number) => boolean): number {
  let low = 0;
  let high = x.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (isAfter(x[middle])) high = middle;
    else low = middle + 1;
  }
  return low;
}
