import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { recordsOf } from './metrics-log.js';
import type { MetricRecord } from './records.js';

export interface MetricsTail {
  /** What came since the last call. `reset`: the file was replaced or cut; forget what was read before. */
  poll(): { readonly reset: boolean; readonly records: MetricRecord[] };
}

/** Follows a `metrics.jsonl` while another process writes it. The file may appear later, or be replaced. */
export function tailMetrics(path: string): MetricsTail {
  let offset = 0;
  let inode: number | undefined;

  return {
    poll: () => {
      const handle = openIfThere(path);
      if (handle === undefined) {
        const reset = offset > 0;
        offset = 0;
        return { reset, records: [] };
      }
      try {
        const stat = fstatSync(handle);
        const reset = offset > 0 && (stat.ino !== inode || stat.size < offset);
        if (reset) offset = 0;
        inode = stat.ino;
        const text = readLines(handle, offset, stat.size);
        offset += text.length;
        return { reset, records: recordsOf(text.toString('utf8'), path) };
      } finally {
        closeSync(handle);
      }
    },
  };
}

/** The bytes in [from, to) up to the last newline: what follows it is still being written. */
function readLines(handle: number, from: number, to: number): Buffer {
  const buffer = Buffer.alloc(to - from);
  const read = readSync(handle, buffer, 0, buffer.length, from);
  return buffer.subarray(0, buffer.subarray(0, read).lastIndexOf(0x0a) + 1);
}

function openIfThere(path: string): number | undefined {
  try {
    return openSync(path, 'r');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
