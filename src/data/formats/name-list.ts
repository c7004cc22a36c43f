import { nameOf, pathBytes } from '../../files/file-names.js';

/**
 * Many file names in one block of memory of up to 4 GiB. Each name takes its bytes and four more, and the garbage collector does
 * not scan them.
 */
export interface NameList {
  readonly length: number;
  at(i: number): string;
}

/** Collects the names of a `NameList`. */
interface NameListBuilder {
  /** Number of names so far. */
  readonly length: number;
  add(name: string): void;
  build(): NameList;
}

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
      const added = pathBytes(name);
      if (used + added.length > bytes.length) {
        const larger = Buffer.allocUnsafe(2 * bytes.length + added.length);
        bytes.copy(larger, 0, 0, used);
        bytes = larger;
      }
      if (length === ends.length) {
        const more = new Uint32Array(2 * length);
        more.set(ends);
        ends = more;
      }
      used += added.copy(bytes, used);
      ends[length++] = used;
    },
    build: () => nameList(Buffer.from(bytes.subarray(0, used)), ends.slice(0, length)),
  };
}

function nameList(bytes: Buffer, ends: Uint32Array): NameList {
  return {
    length: ends.length,
    at: (i) => nameOf(bytes.subarray(i === 0 ? 0 : ends[i - 1], ends[i])),
  };
}
