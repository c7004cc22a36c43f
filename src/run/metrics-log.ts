import { closeSync, constants, existsSync, openSync, writeFileSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import { writeFileAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { readSmallText } from '../files/small-file.js';
import type { MetricRecord } from './records.js';
import { readBytes, withRunFile } from './run-folder.js';

interface MetricsLog {
  /** @returns false, without writing, if the step that training resumed from has a record of this kind already */
  append(record: MetricRecord): boolean;
}

/**
 * Opens a phase's `metrics.jsonl` for appending, at the step from which training resumes (0: from the start, no record is
 * kept). Records of later steps are dropped, because those steps are trained again, and so is a truncated last line.
 * Records of `fromStep` itself are not written twice: its evaluation may be requested again.
 *
 * Throws `InputError` if the folder is not writable or a line inside the file is invalid,
 * `RunError` if the disk is full or the file is missing.
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

/** Appends to an existing file: if a deleted file were created again, it would lack the earlier records. */
function appendLine(path: string, line: string): void {
  const file = openSync(path, constants.O_WRONLY | constants.O_APPEND);
  try {
    writeFileSync(file, `${line}\n`);
  } finally {
    closeSync(file);
  }
}

/**
 * All records of a phase's `metrics.jsonl`; an empty array if the file is missing. Ignores a truncated last line.
 * @throws InputError naming a line that is not a valid record
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
 * Parses text from the file `path`, and returns the records of known kinds. Throws `InputError` for a line that is not a
 * valid record, except the last: a killed writer may have truncated it.
 */
export function recordsOf(text: string, path: string): MetricRecord[] {
  return linesOf(text, path)
    .map(({ record }) => record)
    .filter(({ kind }) => KNOWN_KINDS.has(kind));
}

/** Node's limit for one string. Long phases write a tenth of it. */
const MOST_BYTES = 2 ** 29 - 25;

const KNOWN_KINDS: ReadonlySet<string> = new Set(['step', 'eval']);
const TEXTS: ReadonlySet<string> = new Set(['kind', 'phase']);
const NUMBERS = [
  ...['loss', 'lr', 'epoch', 'steps', 'images', 'seconds', 'block_passes', 'grad_norm'],
  ...['images_per_second', 'data_wait', 'memory_bytes', 'image_size', 'time'],
];

/** JSON turns numbers that are not finite into null. A record may lack some of the numbers. */
function hasNumbers(record: Readonly<Record<string, unknown>>): boolean {
  // An evaluation's other fields are metrics of the task.
  const numbers = record.kind === 'eval' ? Object.keys(record).filter((key) => !TEXTS.has(key)) : NUMBERS;
  return numbers.every((key) => typeof (record[key] ?? 0) === 'number');
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

interface MetricsTail {
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
