import { delimited, double, doubles, type Encoded, float, message, whole } from '../../base/protobuf.js';

// TensorBoard's messages. Field numbers are those of its event.proto, summary.proto and hparams' plugin_data.proto.

/** Time of an event: seconds since 1970, and the training step. */
interface Moment {
  readonly wallTime: number;
  readonly step: number;
}

/** The first event of a file. */
export function versionEvent(wallTime: number): Encoded {
  return message(double(1, wallTime), delimited(3, 'brain.Event:2'));
}

/** Start of a session before `step`: makes events of this step and later ones in earlier files void. */
export function startEvent({ wallTime, step }: Moment): Encoded {
  const START = 1;
  return message(double(1, wallTime), whole(2, step), delimited(7, whole(1, START)));
}

export function summaryEvent({ wallTime, step }: Moment, values: readonly Encoded[]): Encoded {
  const summary = message(...values.map((value) => delimited(1, value)));
  return message(double(1, wallTime), whole(2, step), delimited(5, summary));
}

/** A value of a summary. */
export function scalarEvent(tag: string, value: number): Encoded {
  return message(delimited(1, tag), float(2, value));
}

export interface SummaryImage {
  readonly width: number;
  readonly height: number;
  /** 1, 3 or 4. */
  readonly channels: number;
  readonly png: Uint8Array;
}

/** A value of a summary. */
export function image(tag: string, { width, height, channels, png }: SummaryImage): Encoded {
  return message(
    delimited(1, tag),
    delimited(4, message(whole(1, height), whole(2, width), whole(3, channels), delimited(4, png))),
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
export function histogram(tag: string, of: Histogram): Encoded {
  const { min, max, count, sum, sumOfSquares, limits, counts } = of;
  const content = message(
    ...[min, max, count, sum, sumOfSquares].map((value, index) => double(index + 1, value)),
    doubles(6, limits),
    doubles(7, counts),
  );
  return message(delimited(1, tag), delimited(5, content));
}

/** A setting in a flat list. */
export type Hparam = string | number | boolean;

/**
 * Settings as a flat list: `training.optimizer.lr`. Arrays become JSON; null values are left out.
 * @param key path of `value` itself
 */
export function flattened(value: unknown, key = ''): [key: string, value: Hparam][] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return [[key, value]];
  if (Array.isArray(value)) return [[key, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([name, part]) =>
    flattened(part, key === '' ? name : `${key}.${name}`),
  );
}

/** A value of a summary: the session's hyperparameters. */
export function sessionStart(hparams: ReadonlyMap<string, Hparam>, startSeconds: number): Encoded {
  const entries = [...hparams].map(([key, value]) =>
    delimited(1, message(delimited(1, key), delimited(2, struct(value)))),
  );
  return hparamsValue('session_start_info', delimited(3, message(...entries, double(5, startSeconds))));
}

/** A value of a summary: the session ended successfully. */
export function sessionEnd(endSeconds: number): Encoded {
  const SUCCESS = 1;
  return hparamsValue('session_end_info', delimited(4, message(whole(1, SUCCESS), double(2, endSeconds))));
}

/** The plugin reads only `content`, from the metadata; the value itself is a dummy tensor. */
function hparamsValue(name: string, content: Encoded): Encoded {
  const plugin = message(delimited(1, 'hparams'), delimited(2, content));
  return message(delimited(1, `_hparams_/${name}`), delimited(9, delimited(1, plugin)), delimited(8, ZERO));
}

/** A float32 tensor of shape [1]. */
const ZERO = message(whole(1, 1), delimited(2, delimited(2, whole(1, 1))), float(5, 0));

/** google.protobuf.Value */
function struct(value: Hparam): Encoded {
  if (typeof value === 'number') return double(2, value);
  return typeof value === 'string' ? delimited(3, value) : whole(4, Number(value));
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
