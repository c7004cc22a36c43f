import { tailLines } from './line-tail.js';
import { recordsOf } from './metrics-log.js';
import type { MetricRecord } from './records.js';

export interface MetricsTail {
  /** Records since the last call. `reset`: the file was replaced or truncated; discard the records read before. */
  poll(): { readonly reset: boolean; readonly records: MetricRecord[] };
}

/**
 * Follows a `metrics.jsonl` while another process writes it. The file may appear later, or be replaced.
 * @param path absolute, without symbolic links among its folders
 */
export function tailMetrics(path: string): MetricsTail {
  const tail = tailLines(path, Number.POSITIVE_INFINITY);
  return {
    poll: () => {
      const { reset, lines } = tail.poll();
      return { reset, records: recordsOf(lines.join('\n'), path) };
    },
  };
}
