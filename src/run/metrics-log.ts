import { closeSync, constants, existsSync, openSync, writeFileSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import { writeFileAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { readSmallText } from '../files/small-file.js';
import type { MetricRecord } from './records.js';

export interface MetricsLog {
  /** Tells whether the record is new: it is not where the step continued from has one of its kind. */
  append(record: MetricRecord): boolean;
}

/**
 * Opens a phase's `metrics.jsonl` for appending, at the step its training continues from (0: from the
 * start, nothing is kept): records of later steps are dropped, for those steps are trained again; so is a torn
 * last line. What was recorded of `fromStep` itself is not recorded twice: an evaluation may be asked for again.
 *
 * Throws `InputError` where the folder cannot be written or a line inside the file is no record,
 * `RunError` where the disk is full or the file is gone.
 */
export function openMetricsLog(path: string, options: { readonly fromStep: number }): MetricsLog {
  const before = existsSync(path) ? readSmallText(path, MOST_BYTES) : undefined;
  const { fromStep } = options;
  const kept = linesOf(before ?? '', path).filter(({ record }) => fromStep > 0 && record.step <= fromStep);
  const after = kept.map(({ line }) => `${line}\n`).join('');
  if (after !== before) writeFileAtomic(path, after);
  const recorded = new Set(
    kept.filter(({ record }) => record.step === fromStep).map(({ record }) => record.kind),
  );
  return {
    append: (record) => {
      if (record.step === fromStep && recorded.has(record.kind)) return false;
      withFileErrors(path, () => appendLine(path, JSON.stringify(record)));
      return true;
    },
  };
}

/** To a file that is there: were it made anew after somebody deleted it, the records before would be missing. */
function appendLine(path: string, line: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_APPEND);
  try {
    writeFileSync(file, `${line}\n`);
  } finally {
    closeSync(file);
  }
}

/**
 * All records of a phase's `metrics.jsonl`; none where there is no file. A torn last line is left out.
 * @throws InputError naming a line that is no record
 *
 * @example
 * for (const record of readMetrics('runs/mine/PT/metrics.jsonl')) {
 *   if (record.kind === 'eval') console.log(record.step, record.loss);
 * }
 */
export function readMetrics(path: string): MetricRecord[] {
  if (!existsSync(path)) return [];
  return recordsOf(readSmallText(path, MOST_BYTES), path);
}

/**
 * The records of text from the file `path`, of the kinds known here. Throws `InputError` for a line that is
 * no record, except the last: a writer that was killed may have torn it.
 */
export function recordsOf(text: string, path: string): MetricRecord[] {
  return linesOf(text, path)
    .map(({ record }) => record)
    .filter(({ kind }) => KNOWN_KINDS.has(kind));
}

/** What Node takes for one string. Long phases write a tenth of it. */
const MOST_BYTES = 2 ** 29 - 25;

const KNOWN_KINDS: ReadonlySet<string> = new Set(['step', 'eval']);
const NUMBERS = [
  ...['loss', 'top1', 'top5', 'lr', 'epoch', 'steps', 'images', 'seconds', 'block_passes', 'grad_norm'],
  ...['images_per_second', 'data_wait', 'memory_bytes'],
];

/** Null is what JSON makes of a number that is not finite; a record may lack some. */
function hasNumbers(record: Readonly<Record<string, unknown>>): boolean {
  return NUMBERS.every((key) => typeof (record[key] ?? 0) === 'number');
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
    const isOne = typeof value?.kind === 'string' && typeof value.step === 'number';
    return isOne && (!KNOWN_KINDS.has(value.kind) || hasNumbers(value)) ? value : undefined;
  } catch {
    return undefined;
  }
}
