import { readBytes, withRunFile } from './run-file.js';

export interface LineTail {
  /** Whole lines that came since the last call, a piece of them where they are many. */
  poll(): Poll;
}

export interface Poll {
  /** The file was replaced or cut: forget what was read before. */
  readonly reset: boolean;
  readonly lines: readonly string[];
  /** Bytes that are there to be read at once. */
  readonly unread: number;
}

/** Some milliseconds' work: whoever reads a long file has others to serve. */
const CHUNK = 256 << 10;

/** Follows a file of lines by byte offset while others write it. It may appear later, be cut, or be replaced. */
export function tailLines(path: string, chunk = CHUNK): LineTail {
  let offset = 0;
  let inode: number | undefined;
  /** Grows while a single line is longer than it. */
  let span = chunk;

  return {
    poll: () => {
      const poll = withRunFile(path, (handle, { ino, size }): Poll => {
        const reset = offset > 0 && (ino !== inode || size < offset);
        if (reset) offset = 0;
        inode = ino;
        const end = Math.min(size, offset + span);
        const bytes = readBytes(handle, offset, end);
        const whole = bytes.subarray(0, bytes.lastIndexOf(0x0a) + 1);
        span = whole.length === 0 && end < size ? 2 * span : chunk;
        offset += whole.length;
        const lines = whole.length === 0 ? [] : whole.toString('utf8').slice(0, -1).split('\n');
        return { reset, lines, unread: size - end };
      });
      if (poll !== undefined) return poll;
      const reset = offset > 0;
      offset = 0;
      return { reset, lines: [], unread: 0 };
    },
  };
}
