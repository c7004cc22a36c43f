import type { RandomStream } from '../../base/random.js';
import { type Box, IGNORED } from '../dataset.js';
import {
  flipped,
  type PixelSize,
  type Planes,
  resizeBilinearBox,
  resizeNearestBox,
  sizeWithin,
} from './resize.js';

export interface LabelAugmentation {
  /** Side of the crop, in pixels. */
  readonly crop: number;
  /** Longer and shorter side that the image is resized within, before `ratio`. */
  readonly scale: readonly [long: number, short: number];
  /** Range of the factor of `scale`. */
  readonly ratio: readonly [number, number];
  /** A crop is drawn again if one class has at least this share of its labelled pixels; at most ten times. 1: never. */
  readonly catMaxRatio: number;
  /** Probability of a horizontal flip. */
  readonly flip: number;
  readonly photometric: boolean;
}

/** An image and its labels, of the same size. */
export interface Labelled {
  readonly image: Planes;
  /** One channel: the class of each pixel, or `IGNORED`. */
  readonly labels: Planes;
}

/**
 * mmsegmentation's training transforms: random resize, random crop, flip, photometric distortion. The result may be smaller than
 * the crop. Draws: ratio, crops, flip, distortion.
 */
export function augmented(
  { image, labels }: Labelled,
  random: RandomStream,
  options: LabelAugmentation,
): Labelled {
  const { scale, ratio, flip, photometric } = options;
  const factor = ratio[0] + (ratio[1] - ratio[0]) * random.uniform();
  const size = sizeWithin(image, Math.trunc(scale[0] * factor), Math.trunc(scale[1] * factor));
  const { box, labels: chosen } = acceptedCrop(labels, size, random, options);
  const isFlipped = random.uniform() < flip;
  const part = resizeBilinearBox(image, size, box);
  const made = isFlipped
    ? { image: flipped(part), labels: flipped(chosen) }
    : { image: part, labels: chosen };
  if (photometric) distort(made.image, drawDistortion(random));
  return made;
}

const TRIES = 10;

function acceptedCrop(
  labels: Planes,
  size: PixelSize,
  random: RandomStream,
  { crop, catMaxRatio }: LabelAugmentation,
): { readonly box: Box; readonly labels: Planes } {
  const draw = () => {
    const box = drawBox(size, crop, random);
    return { box, labels: resizeNearestBox(labels, size, box) };
  };
  let drawn = draw();
  for (let tries = 0; catMaxRatio < 1 && tries < TRIES; tries++) {
    if (isVaried(drawn.labels.data, catMaxRatio)) break;
    drawn = draw();
  }
  return drawn;
}

function drawBox({ height, width }: PixelSize, crop: number, random: RandomStream): Box {
  const top = random.integer(0, Math.max(height - crop, 0));
  const left = random.integer(0, Math.max(width - crop, 0));
  return { left, top, width: Math.min(width, crop), height: Math.min(height, crop) };
}

/** Whether there are several classes, and the most frequent one has less than `share` of the labelled pixels. */
function isVaried(labels: Uint8Array, share: number): boolean {
  const counts = new Int32Array(256);
  for (const label of labels) counts[label]++;
  counts[IGNORED] = 0;
  const present = counts.filter((count) => count > 0);
  const total = present.reduce((sum, count) => sum + count, 0);
  return present.length > 1 && Math.max(...present) / total < share;
}

/** The operations of one photometric distortion, in order. Values are absolute. */
export type Distortion = readonly (
  | { readonly op: 'brightness'; readonly add: number }
  | { readonly op: 'contrast' | 'saturation'; readonly factor: number }
  | { readonly op: 'hue'; readonly shift: number }
)[];

/**
 * Draws mmsegmentation's PhotoMetricDistortion: brightness +-32, contrast and saturation 0.5 ... 1.5, hue -18 ... 17 in units of
 * two degrees, each with probability 1/2; contrast is applied before saturation and hue, or after them.
 */
function drawDistortion(random: RandomStream): Distortion {
  const isOn = () => random.integer(0, 1) === 1;
  const between = (low: number, high: number) => low + (high - low) * random.uniform();
  const factor = (op: 'contrast' | 'saturation') =>
    isOn() ? [{ op, factor: between(0.5, 1.5) } as const] : [];
  const brightness = isOn() ? [{ op: 'brightness', add: between(-32, 32) } as const] : [];
  const isFirst = isOn();
  const before = isFirst ? factor('contrast') : [];
  const saturation = factor('saturation');
  const hue = isOn() ? [{ op: 'hue', shift: random.integer(-18, 17) } as const] : [];
  return [...brightness, ...before, ...saturation, ...hue, ...(isFirst ? [] : factor('contrast'))];
}

/** Applies a distortion to an RGB image, in place. Every operation clips and truncates to bytes. */
export function distort({ data, channels }: Planes, distortion: Distortion): void {
  for (const step of distortion) {
    if (step.op === 'brightness') mapBytes(data, converted(1, step.add));
    else if (step.op === 'contrast') mapBytes(data, converted(step.factor, 0));
    // A grey image has no colour.
    else if (channels === 3) inHsv(data, step);
  }
}

function mapBytes(data: Uint8Array, table: Uint8Array): void {
  for (let i = 0; i < data.length; i++) data[i] = table[data[i]];
}

/** For each byte: value x factor + add in float32, clipped and truncated. */
function converted(factor: number, add: number): Uint8Array {
  const [f, a] = [Math.fround(factor), Math.fround(add)];
  return Uint8Array.from({ length: 256 }, (_, value) => {
    const result = Math.fround(Math.fround(value * f) + a);
    return Math.trunc(Math.min(Math.max(result, 0), 255));
  });
}

const SHIFT = 12;
const roundedRatio = (numerator: number) =>
  Int32Array.from({ length: 256 }, (_, i) => (i === 0 ? 0 : Math.round((numerator * 2 ** SHIFT) / i)));
const SATURATIONS = roundedRatio(255);
const HUES = roundedRatio(180 / 6);

/** Changes saturation or hue. The conversions are OpenCV's for bytes: hue 0 ... 179, saturation and value 0 ... 255. */
function inHsv(
  data: Uint8Array,
  step: Extract<Distortion[number], { op: 'saturation' | 'hue' | 'contrast' }>,
): void {
  const area = data.length / 3;
  const table = step.op === 'hue' ? undefined : converted(step.factor, 0);
  const shift = step.op === 'hue' ? step.shift : 0;
  const rgb = new Uint8Array(3);
  for (let i = 0; i < area; i++) {
    const [r, g, b] = [data[i], data[area + i], data[2 * area + i]];
    const value = Math.max(r, g, b);
    const range = value - Math.min(r, g, b);
    const s = (range * SATURATIONS[value] + (1 << (SHIFT - 1))) >> SHIFT;
    const sector = value === r ? g - b : value === g ? b - r + 2 * range : r - g + 4 * range;
    const h = (sector * HUES[range] + (1 << (SHIFT - 1))) >> SHIFT;
    const hue = ((((h < 0 ? h + 180 : h) + shift) % 180) + 180) % 180;
    toRgb(hue, table ? table[s] : s, value, rgb);
    data[i] = rgb[0];
    data[area + i] = rgb[1];
    data[2 * area + i] = rgb[2];
  }
}

const f = Math.fround;
const BYTE = f(1 / 255);
const SECTOR = f(6 / 180);

/**
 * OpenCV's HSV to RGB for bytes, which computes in float32 with fused products and truncates. (Its code for the last pixels of a
 * line, which do not fill a vector, rounds instead.)
 */
function toRgb(hue: number, saturation: number, value: number, into: Uint8Array): void {
  const s = f(saturation * BYTE);
  const v = f(value * BYTE);
  const h = f(hue * SECTOR);
  const sector = Math.floor(h);
  const rest = f(h - sector);
  const high = toByte(v);
  const p = toByte(f(v * f(1 - s)));
  const q = toByte(f(v * f(1 - s * rest)));
  const t = toByte(f(v * f(1 - s * f(1 - rest))));
  const sectors = sector % 6;
  if (sectors === 0) put(into, high, t, p);
  else if (sectors === 1) put(into, q, high, p);
  else if (sectors === 2) put(into, p, high, t);
  else if (sectors === 3) put(into, p, q, high);
  else if (sectors === 4) put(into, t, p, high);
  else put(into, high, p, q);
}

function put(into: Uint8Array, red: number, green: number, blue: number): void {
  into[0] = red;
  into[1] = green;
  into[2] = blue;
}

function toByte(x: number): number {
  return Math.min(Math.max(Math.trunc(f(x * 255)), 0), 255);
}
