import type { PixelStep } from './pixels.js';
import { resizeShorter, sizeAfter, type Transform } from './transform.js';

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
