/**
 * Many strings, one after another in one piece of memory, up to 4 GiB: each takes its bytes and four more, and the
 * garbage collector does not visit them.
 */
export interface NameList {
  readonly length: number;
  at(i: number): string;
}

/** Collects the names of a `NameList`. */
export interface NameListBuilder {
  /** Names so far. */
  readonly length: number;
  add(name: string): void;
  build(): NameList;
}

/** A UTF-16 unit takes at most so many bytes of UTF-8. */
const MOST_BYTES = 3;

export function nameListBuilder(): NameListBuilder {
  let bytes = Buffer.allocUnsafe(1024);
  let ends = new Uint32Array(64);
  let length = 0;
  let used = 0;

  return {
    get length() {
      return length;
    },
    add: (name) => {
      if (used + MOST_BYTES * name.length > bytes.length) {
        const larger = Buffer.allocUnsafe(2 * bytes.length + MOST_BYTES * name.length);
        bytes.copy(larger, 0, 0, used);
        bytes = larger;
      }
      if (length === ends.length) {
        const more = new Uint32Array(2 * length);
        more.set(ends);
        ends = more;
      }
      used += bytes.write(name, used);
      ends[length++] = used;
    },
    build: () => nameList(Buffer.from(bytes.subarray(0, used)), ends.slice(0, length)),
  };
}

function nameList(bytes: Buffer, ends: Uint32Array): NameList {
  return {
    length: ends.length,
    at: (i) => bytes.toString('utf8', i === 0 ? 0 : ends[i - 1], ends[i]),
  };
}
