import { randomBeta } from 'd3-random';
import type { RandomStream } from '../../base/random.js';
import type { Box, Mix } from '../dataset.js';

/** Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019). */
export interface MixOptions {
  /** The share of the image itself has distribution Beta(mixup, mixup); 0 for no mixup. */
  readonly mixup: number;
  /** As `mixup`; 0 for no cutmix. */
  readonly cutmix: number;
  /** Share of batches that are mixed. */
  readonly prob: number;
  /** Share of the mixed batches that use cutmix, if both are enabled. */
  readonly switch_prob: number;
}

/**
 * Draws the mix of a batch with images of one size, in the same order as timm's Mixup. Undefined if the batch is not mixed.
 * For cutmix, lambda is the share of the image outside the clipped box.
 */
export function drawMix(
  options: MixOptions,
  size: Pick<Box, 'height' | 'width'>,
  random: RandomStream,
): Mix | undefined {
  const { mixup, cutmix, prob, switch_prob: switchProb } = options;
  if (mixup === 0 && cutmix === 0) return undefined;
  if (random.uniform() >= prob) return undefined;
  const isCutmix = mixup > 0 && cutmix > 0 ? random.uniform() < switchProb : cutmix > 0;
  const alpha = isCutmix ? cutmix : mixup;
  const lambda = randomBeta.source(random.uniform)(alpha, alpha)();
  const mix = isCutmix ? cutmixOf(lambda, size, random) : { lambda };
  return mix.lambda === 1 ? undefined : mix;
}

function cutmixOf(lambda: number, size: Pick<Box, 'height' | 'width'>, random: RandomStream): Mix {
  const { height, width } = size;
  const box = cutmixBox(lambda, size, {
    y: random.integer(0, height - 1),
    x: random.integer(0, width - 1),
  });
  return { lambda: 1 - (box.height * box.width) / (height * width), box };
}

/** A box with sides of sqrt(1 - lambda) times the image's, rounded down to even numbers and clipped to the image. */
export function cutmixBox(
  lambda: number,
  { height, width }: Pick<Box, 'height' | 'width'>,
  centre: { readonly y: number; readonly x: number },
): Box {
  const share = Math.sqrt(1 - lambda);
  const halfHeight = Math.floor(Math.floor(height * share) / 2);
  const halfWidth = Math.floor(Math.floor(width * share) / 2);
  const top = Math.max(centre.y - halfHeight, 0);
  const left = Math.max(centre.x - halfWidth, 0);
  return {
    left,
    top,
    width: Math.min(centre.x + halfWidth, width) - left,
    height: Math.min(centre.y + halfHeight, height) - top,
  };
}
