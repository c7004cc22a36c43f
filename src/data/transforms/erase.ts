import type { RandomStream } from '../../base/random.js';
import type { Box } from '../dataset.js';

/** Random erasing (Zhong et al. 2020), with timm's defaults. */
interface ErasingOptions {
  /** Probability that an image is erased. */
  readonly probability: number;
  /** Bounds of the box's share of the image's area. Default 0.02 and 1/3. */
  readonly min_area?: number;
  readonly max_area?: number;
  /** The box's height / width is log-uniform between this and its inverse. Default 0.3. */
  readonly min_aspect?: number;
}

/**
 * Draws the box of an image that is erased: the first of up to ten draws that is lower and narrower than the image.
 * Undefined if nothing is erased.
 */
export function drawErasing(
  options: ErasingOptions,
  { height: fullHeight, width: fullWidth }: Pick<Box, 'height' | 'width'>,
  random: RandomStream,
): Box | undefined {
  const { probability, min_area: minArea = 0.02, max_area: maxArea = 1 / 3, min_aspect = 0.3 } = options;
  if (random.uniform() >= probability) return undefined;
  for (let tries = 0; tries < 10; tries++) {
    const area = fullHeight * fullWidth * (minArea + (maxArea - minArea) * random.uniform());
    const aspect = min_aspect ** (1 - 2 * random.uniform());
    const height = Math.round(Math.sqrt(area * aspect));
    const width = Math.round(Math.sqrt(area / aspect));
    if (height < fullHeight && width < fullWidth) {
      // In a tiny image, the box may have no pixels.
      if (height === 0 || width === 0) return undefined;
      const top = random.integer(0, fullHeight - height);
      const left = random.integer(0, fullWidth - width);
      return { left, top, width, height };
    }
  }
  return undefined;
}
