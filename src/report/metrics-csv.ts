import type { PhaseMetrics } from './curves.js';

const COLUMNS = [
  ...['phase', 'kind', 'epoch', 'step', 'steps', 'loss', 'top1', 'top5', 'lr', 'images', 'images_per_second'],
  ...['block_passes', 'seconds', 'data_wait', 'memory_bytes', 'grad_norm'],
];

/** The records of all phases as one CSV table (RFC 4180), a header first; what a record lacks is empty. */
export function metricsCsv(phases: readonly PhaseMetrics[]): string {
  const rows = phases.flatMap(({ phase, records }) =>
    records.map((record) => {
      const values: Readonly<Record<string, unknown>> = { ...record, phase };
      return COLUMNS.map((column) => field(values[column]));
    }),
  );
  return [COLUMNS, ...rows].map((row) => `${row.join(',')}\r\n`).join('');
}

function field(value: unknown): string {
  const text = value === undefined || value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
