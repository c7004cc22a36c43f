import type { RandomStream } from '../../base/random.js';
import { type Box, IGNORED } from '../dataset.js';
import { distort, drawDistortion } from './photometric.js';
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
