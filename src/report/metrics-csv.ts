import type { TaskMetrics } from '../run/metric.js';
import type { PhaseMetrics } from './curves.js';

const PLACE = ['phase', 'kind', 'epoch', 'step', 'steps', 'loss'];
const COST = [
  'lr',
  'images',
  'images_per_second',
  'block_passes',
  'seconds',
  'data_wait',
  'memory_bytes',
  'grad_norm',
];

/** The records of all phases as one CSV table (RFC 4180) with a header; missing values are empty. */
export function metricsCsv(phases: readonly PhaseMetrics[], { all }: TaskMetrics): string {
  const columns = [...PLACE, ...all.map(({ name }) => name), ...COST];
  const rows = phases.flatMap(({ phase, records }) =>
    records.map((record) => {
      const values: Readonly<Record<string, unknown>> = { ...record, phase };
      return columns.map((column) => csvField(values[column]));
    }),
  );
  return [columns, ...rows].map((row) => `${row.join(',')}\r\n`).join('');
}

/** A field of RFC 4180; missing values are empty. */
export function csvField(value: unknown): string {
  const text = value === undefined || value === null ? '' : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
