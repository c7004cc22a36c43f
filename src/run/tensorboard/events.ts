// The part of Protocol Buffers' wire format that event files need
// (https://protobuf.dev/programming-guides/encoding): a message is the concatenation of its fields' bytes.

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** Joins fields to a message. */
function message(...fields: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(fields);
}

/** An int32, int64, bool or enum. `value` is an integer from 0 to the largest safe integer. */
function whole(field: number, value: number): Uint8Array {
  return message(tag(field, VARINT), varint(value));
}

function double(field: number, value: number): Uint8Array {
  const bytesField = Buffer.alloc(8);
  bytesField.writeDoubleLE(value);
  return message(tag(field, FIXED64), bytesField);
}

/** Rounded to the nearest float32. */
function float(field: number, value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return message(tag(field, FIXED32), bytes);
}

/** Text, bytes, or a nested message. */
function bytes(field: number, value: Uint8Array | string): Uint8Array {
  const content = typeof value === 'string' ? utf8.encode(value) : value;
  return message(tag(field, BYTES), varint(content.length), content);
}

/** `repeated double`, packed. */
function doubles(field: number, values: readonly number[]): Uint8Array {
  const content = Buffer.alloc(8 * values.length);
  values.forEach((value, index) => {
    content.writeDoubleLE(value, 8 * index);
  });
  return bytes(field, content);
}

function tag(field: number, type: number): Uint8Array {
  return varint(8 * field + type);
}

function varint(value: number): Uint8Array {
  const digits: number[] = [];
  let rest = value;
  // Division instead of shifts, which work on 32 bits.
  for (; rest >= 128; rest = Math.floor(rest / 128)) digits.push((rest % 128) + 128);
  return Uint8Array.of(...digits, rest);
}

// TensorBoard's messages. Field numbers are those of its event.proto, summary.proto and hparams' plugin_data.proto.

/** Time of an event: seconds since 1970, and the training step. */
interface Moment {
  readonly wallTime: number;
  readonly step: number;
}

/** The first event of a file. */
export function versionEvent(wallTime: number): Uint8Array {
  return message(double(1, wallTime), bytes(3, 'brain.Event:2'));
}

/** Start of a session before `step`: makes events of this step and later ones in earlier files void. */
export function startEvent({ wallTime, step }: Moment): Uint8Array {
  const START = 1;
  return message(double(1, wallTime), whole(2, step), bytes(7, whole(1, START)));
}

export function summaryEvent({ wallTime, step }: Moment, values: readonly Uint8Array[]): Uint8Array {
  const summary = message(...values.map((value) => bytes(1, value)));
  return message(double(1, wallTime), whole(2, step), bytes(5, summary));
}

/** A value of a summary. */
export function scalarEvent(tag: string, value: number): Uint8Array {
  return message(bytes(1, tag), float(2, value));
}

export interface SummaryImage {
  readonly width: number;
  readonly height: number;
  /** 1, 3 or 4. */
  readonly channels: number;
  readonly png: Uint8Array;
}

/** A value of a summary. */
export function image(tag: string, { width, height, channels, png }: SummaryImage): Uint8Array {
  return message(
    bytes(1, tag),
    bytes(4, message(whole(1, height), whole(2, width), whole(3, channels), bytes(4, png))),
  );
}

interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly count: number;
  readonly sum: number;
  readonly sumOfSquares: number;
  /** Upper end of each bucket. The first begins at `min`. */
  readonly limits: readonly number[];
  readonly counts: readonly number[];
}

/** A value of a summary. */
export function histogram(tag: string, of: Histogram): Uint8Array {
  const { min, max, count, sum, sumOfSquares, limits, counts } = of;
  const content = message(
    ...[min, max, count, sum, sumOfSquares].map((value, index) => double(index + 1, value)),
    doubles(6, limits),
    doubles(7, counts),
  );
  return message(bytes(1, tag), bytes(5, content));
}

export type Hparam = string | number | boolean;

/** A value of a summary: the session's hyperparameters. */
export function sessionStart(hparams: ReadonlyMap<string, Hparam>, startSeconds: number): Uint8Array {
  const entries = [...hparams].map(([key, value]) =>
    bytes(1, message(bytes(1, key), bytes(2, struct(value)))),
  );
  return hparamsValue('session_start_info', bytes(3, message(...entries, double(5, startSeconds))));
}

/** A value of a summary: the session ended successfully. */
export function sessionEnd(endSeconds: number): Uint8Array {
  const SUCCESS = 1;
  return hparamsValue('session_end_info', bytes(4, message(whole(1, SUCCESS), double(2, endSeconds))));
}

/** The plugin reads only `content`, from the metadata; the value itself is a dummy tensor. */
function hparamsValue(name: string, content: Uint8Array): Uint8Array {
  const plugin = message(bytes(1, 'hparams'), bytes(2, content));
  return message(bytes(1, `_hparams_/${name}`), bytes(9, bytes(1, plugin)), bytes(8, ZERO));
}

/** A float32 tensor of shape [1]. */
const ZERO = message(whole(1, 1), bytes(2, bytes(2, whole(1, 1))), float(5, 0));

/** google.protobuf.Value */
function struct(value: Hparam): Uint8Array {
  if (typeof value === 'number') return double(2, value);
  return typeof value === 'string' ? bytes(3, value) : whole(4, Number(value));
}

/**
 * Histogram of `values`, in equal buckets from the minimum to the maximum. Ignores values that are not finite; undefined
 * if there are no finite values.
 */
export function histogramOf(values: Float32Array, buckets = 64): Histogram | undefined {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return undefined;
  let [min, max, sum, sumOfSquares] = [Infinity, -Infinity, 0, 0];
  for (const value of finite) {
    min = Math.min(min, value);
    max = Math.max(max, value);
    sum += value;
    sumOfSquares += value * value;
  }
  // Turns -0 into 0, because a plot would print the sign.
  [min, max] = [min + 0, max + 0];
  const width = (max - min) / buckets;
  const common = { min, max, count: finite.length, sum, sumOfSquares };
  if (width === 0) return { ...common, limits: [max], counts: [finite.length] };
  const counts = new Array<number>(buckets).fill(0);
  for (const value of finite) counts[Math.min(Math.floor((value - min) / width), buckets - 1)]++;
  const limits = counts.map((_, index) => (index === buckets - 1 ? max : min + (index + 1) * width));
  return { ...common, limits, counts };
}
