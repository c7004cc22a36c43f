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
