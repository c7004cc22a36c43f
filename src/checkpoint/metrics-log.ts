import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import { writeFileAtomic } from './atomic.js';
import { withFileErrors } from './file-errors.js';
import type { MetricRecord } from './records.js';

export interface MetricsLog {
  append(record: MetricRecord): void;
}

/**
 * Opens a phase's `metrics.jsonl` for appending, at the step its training continues from (0: from the
 * start): records of later steps are dropped, for those steps are trained again; so is a torn last line.
 *
 * Throws `InputError` where the folder cannot be written or a line inside the file is no record,
 * `RunError` where the disk is full.
 */
export function openMetricsLog(path: string, options: { readonly fromStep: number }): MetricsLog {
  const before = existsSync(path) ? readFileSync(path, 'utf8') : undefined;
  const kept = linesOf(before ?? '', path).filter(({ record }) => record.step <= options.fromStep);
  const after = kept.map(({ line }) => `${line}\n`).join('');
  if (after !== before) writeFileAtomic(path, after);
  return {
    append: (record) => withFileErrors(path, () => appendFileSync(path, `${JSON.stringify(record)}\n`)),
  };
}

/** All records of a `metrics.jsonl`; none where there is no file. A torn last line is left out. */
export function readMetrics(path: string): MetricRecord[] {
  if (!existsSync(path)) return [];
  return recordsOf(readFileSync(path, 'utf8'), path);
}

/**
 * The records of text from the file `path`, of the kinds known here. Throws `InputError` for a line that is
 * no record, except the last: a writer that was killed may have torn it.
 */
export function recordsOf(text: string, path: string): MetricRecord[] {
  return linesOf(text, path)
    .map(({ record }) => record)
    .filter(({ kind }) => kind === 'step' || kind === 'eval');
}

function linesOf(text: string, path: string): { line: string; record: MetricRecord }[] {
  const lines = text.split('\n');
  const last = lines.findLastIndex((line) => line !== '');
  return lines.flatMap((line, index) => {
    if (line === '') return [];
    const record = parseRecord(line);
    if (record !== undefined) return [{ line, record }];
    if (index === last) return [];
    throw new InputError(`${path}, line ${index + 1}: not a metric record.`, {
      hint: 'The file was damaged or edited. Remove that line.',
    });
  });
}

function parseRecord(line: string): MetricRecord | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value?.kind === 'string' && typeof value.step === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}
