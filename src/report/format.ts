const SCALES = [
  { factor: 1e18, symbol: 'E', word: 'quintillion' },
  { factor: 1e15, symbol: 'P', word: 'quadrillion' },
  { factor: 1e12, symbol: 'T', word: 'trillion' },
  { factor: 1e9, symbol: 'G', word: 'billion' },
  { factor: 1e6, symbol: 'M', word: 'million' },
  { factor: 1e3, symbol: 'k', word: 'thousand' },
  { factor: 1, symbol: '', word: '' },
] as const;

/** The largest decimal scale that does not exceed `value`, at least 1. */
export function scaleOf(value: number): (typeof SCALES)[number] {
  return SCALES.find(({ factor }) => Math.abs(value) >= factor) ?? SCALES[SCALES.length - 1];
}

/** Three significant digits without an exponent: `0.0123`, `1.23`, `123`, `1,234`. */
export function significant(value: number): string {
  if (!Number.isFinite(value)) return String(value);
  if (Math.abs(value) >= 999.5) return Math.round(value).toLocaleString('en-US');
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3, minimumSignificantDigits: 3 });
}

/** `1.23 G`: three digits and a decimal prefix, for MACs and other counts. */
export function withPrefix(value: number): string {
  const { factor, symbol } = scaleOf(value);
  return `${significant(value / factor)} ${symbol}`.trim();
}

/** `41 s`, `6 min 05 s`, `3 h 07 min`, `2 d 04 h`. */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${two((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${two((whole % 86_400) / 3600)} h`;
}

/** Shown for a running phase that has no steps left. */
export const EVALUATING = 'evaluating';

/** Bytes in binary units: `1.21 GiB`. */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const power = Math.min(Math.floor(Math.log2(Math.max(value, 1)) / 10), units.length - 1);
  return `${power === 0 ? value : significant(value / 1024 ** power)} ${units[power]}`;
}

/** A number with its unit, without trailing zeros, for an axis: `1.50 GiB` becomes `1.5 GiB`, `320 MiB` stays as it is. */
export function trimmed(text: string): string {
  const [number, unit = ''] = text.split(' ');
  return `${Number(number.replaceAll(',', ''))} ${unit}`.trim();
}

/** Labels that users see: in the terminal, in `status`, on the page, in reports and in model cards. */

/** Loss on the training images of a step, as optimised: augmented images, mixed or smoothed labels. */
export const TRAIN_LOSS = 'train loss';

/** Mean cross-entropy on the evaluation images with plain labels. */
export const EVAL_LOSS = 'eval loss';

/** Seconds spent in training steps, without evaluation and start-up. */
export const TRAIN_TIME = 'train time';

/** Training images per second of training time. */
export const TRAIN_SPEED = 'train images/s';

/**
 * Removes columns from a table until it fits the terminal width. `dispensable` lists the columns that may be removed, in this
 * order. The first line is the header; columns are separated by two characters.
 */
export function narrowed(
  lines: readonly (readonly string[])[],
  columns: number,
  dispensable: readonly string[],
): readonly (readonly string[])[] {
  const width = widthsOf(lines).reduce((sum, each) => sum + each + 2, -2);
  const [name, ...others] = dispensable;
  if (width <= columns || name === undefined) return lines;
  const at = lines[0].indexOf(name);
  const less = at < 0 ? lines : lines.map((cells) => cells.toSpliced(at, 1));
  return narrowed(less, columns, others);
}

/** Width of each column in characters. */
export function widthsOf(lines: readonly (readonly string[])[]): number[] {
  return lines[0].map((_, column) => Math.max(...lines.map((line) => line[column].length)));
}
