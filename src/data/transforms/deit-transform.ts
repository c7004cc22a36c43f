import { InputError } from '../../base/errors.js';
import { parsePolicy, type RandAugmentPolicy, randAugment } from './auto-augment.js';
import type { PixelStep } from './pixels.js';
import {
  compose,
  horizontalFlip,
  randomCrop,
  randomResizedCrop,
  resizeShorter,
  SMALL_IMAGE,
  sizeAfter,
  type Transform,
} from './transform.js';

export interface DeitTransformOptions {
  /** Side of the result, in pixels. */
  readonly size: number;
  /**
   * `default`: a random crop of the zero-padded image up to 32 pixels, a random resized crop above. `simple`: DeiT-III's simple
   * random crop.
   */
  readonly crop: 'default' | 'simple';
  /** Padding of the random crop up to 32 pixels, and of the simple random crop, in pixels. */
  readonly padding: number;
  /** Share of the area, and `ratio` width / height, of the random resized crop; for sizes above 32. */
  readonly scale: readonly [number, number];
  readonly ratio: readonly [number, number];
  /** Probability of a horizontal flip. */
  readonly flip: number;
  /** RandAugment policy, see `parsePolicy`; null for none. */
  readonly autoAugment: string | null;
  /** Magnitude of RandAugment, 0 ... 10, instead of the policy's. */
  readonly magnitude?: number | undefined;
  /** DeiT-III's 3-Augment, instead of RandAugment. */
  readonly threeAugment: boolean;
  /** Strength of the colour jitter, used only without auto-augment; 0 for none. */
  readonly colorJitter: number;
  /** Mean of each channel, in 0 ... 1; RandAugment's fill colour. */
  readonly mean: readonly number[];
  /** JPEGs may be decoded at a fraction of their size (see `PixelStep`). */
  readonly fast: boolean;
}

/**
 * The training transform of DeiT (Touvron et al. 2021), which Deep Incubation uses: random crop, flip, then RandAugment or,
 * without it, colour jitter. Up to 32 pixels, the crop is taken from the padded image; above 32, it is a random resized crop.
 * Defaults are DeiT's. With `threeAugment`, that of DeiT-III: random crop, flip, one of three operations, colour jitter.
 * Random erasing and mixing follow later, on the batch.
 *
 * @throws InputError if `autoAugment` is invalid, or given together with `threeAugment`; from the transform, if an image of up to 32 pixels is too small.
 *
 * @example
 * const { train: dataset, val } = openDataset({ format: 'folder', path: 'images' });
 * const transform = deitTransform({
 *   size: 16, padding: 2, scale: [0.08, 1], ratio: [3 / 4, 4 / 3], flip: 0.5,
 *   autoAugment: 'rand-m9-mstd0.5-inc1', colorJitter: 0, mean: [0.5, 0.5, 0.5], fast: false,
 * });
 * for await (const batch of trainBatches({ dataset, transform, batchSize: 4, seed: 0, phase: 'PT', steps: 1 })) {
 *   console.log(batch.width);
 * }
 */
export function deitTransform(
  options: Pick<DeitTransformOptions, 'size'> & Partial<DeitTransformOptions>,
): Transform {
  const {
    size,
    crop = 'default',
    padding = 4,
    scale = [0.08, 1],
    ratio = [3 / 4, 4 / 3],
    flip = 0.5,
    threeAugment: isThree = false,
    autoAugment = isThree ? null : 'rand-m9-mstd0.5-inc1',
    magnitude,
    colorJitter: strength = 0.4,
    mean = [0.485, 0.456, 0.406],
    fast = false,
  } = options;
  if (isThree && autoAugment !== null) {
    throw new InputError('3-Augment and RandAugment cannot be combined', {
      hint: 'set autoAugment to null, or threeAugment to false',
    });
  }
  const defaultCrop = () =>
    size <= SMALL_IMAGE ? randomCrop(size, padding) : randomResizedCrop(size, scale, ratio, { fast });
  return compose(
    crop === 'simple' ? simpleRandomCrop(size, padding, { fast }) : defaultCrop(),
    horizontalFlip(flip),
    ...(isThree ? [threeAugment()] : []),
    autoAugment === null ? colorJitter(strength) : randAugment(policyOf(autoAugment, magnitude), mean),
  );
}

function policyOf(text: string, magnitude: number | undefined): RandAugmentPolicy {
  const policy = parsePolicy(text);
  return magnitude === undefined ? policy : { ...policy, magnitude };
}

const JITTERED = ['brightness', 'contrast', 'color'] as const satisfies PixelStep['op'][];

/**
 * Changes brightness, contrast and saturation in a random order, each by a separate factor, uniform in
 * [max(0, 1 - strength), 1 + strength]. This is torchvision's ColorJitter without hue. DeiT's strength, without auto-augment,
 * is 0.4.
 */
export function colorJitter(strength: number): Transform {
  if (strength === 0) return () => [];
  const low = Math.max(0, 1 - strength);
  return (_, random) => {
    const steps = JITTERED.map((op) => ({ op, factor: low + (1 + strength - low) * random.uniform() }));
    // Draws the first of the three, then the order of the other two: all six orders are equally likely.
    const [first] = steps.splice(random.integer(0, 2), 1);
    return random.integer(0, 1) === 0 ? [first, ...steps] : [first, ...steps.reverse()];
  };
}

/** Radius of the Gaussian blur, uniform. */
const [LEAST_RADIUS, MOST_RADIUS] = [0.1, 2];
const SOLARIZE_THRESHOLD = 128;

/** 3-Augment of DeiT-III (Touvron et al. 2022, arXiv 2204.07118): greyscale, solarisation or Gaussian blur, each as likely. */
export function threeAugment(): Transform {
  return (_, random) => [oneOfThree(random.integer(0, 2), random.uniform())];
}

function oneOfThree(choice: number, share: number): PixelStep {
  if (choice === 0) return { op: 'color', factor: 0 };
  if (choice === 1) return { op: 'solarize', threshold: SOLARIZE_THRESHOLD };
  return { op: 'gaussianBlur', radius: LEAST_RADIUS + (MOST_RADIUS - LEAST_RADIUS) * share };
}

/**
 * The simple random crop of DeiT-III: the shorter side is resized to `size` (bicubic), then a size x size crop is taken at a
 * random position of the image, which is padded by reflection on each side.
 *
 * @throws InputError (from the transform) if the longer side of an image would have more than 2^20 pixels
 */
export function simpleRandomCrop(
  size: number,
  padding: number,
  options: { readonly fast?: boolean } = {},
): Transform {
  return (image, random) => {
    const resized = resizeShorter(image, size, options);
    const { width, height } = sizeAfter(image, resized);
    const top = random.integer(0, height + 2 * padding - size) - padding;
    const left = random.integer(0, width + 2 * padding - size) - padding;
    return [...resized, { op: 'cropReflected', box: { left, top, width: size, height: size } }];
  };
}
