import { readBytes, withRunFile } from './run-folder.js';

interface LineTail {
  /** Complete lines that were added since the last call; only some of them if there are many. */
  poll(): Poll;
}

interface Poll {
  /** The file was replaced or truncated: discard the lines read before. */
  readonly reset: boolean;
  readonly lines: readonly string[];
  /** Number of bytes that can be read immediately. */
  readonly unread: number;
}

/** A few milliseconds of work: a server that reads a long file must also serve other requests. */
const CHUNK = 256 << 10;

/** Follows a text file while another process writes it. The file may appear later, be truncated, or be replaced. */
export function tailLines(path: string, chunk = CHUNK): LineTail {
  let offset = 0;
  let inode: number | undefined;
  /** Grows while a single line is longer than this. */
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
