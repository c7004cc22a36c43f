import { z } from 'zod';
import { defaultTaps } from '../dense/decoder-config.js';
import { type DetectorConfig, finestStride } from './detector-config.js';

const count = z.int().positive();

/** The key `decoder` of a recipe's section `model`, for detection. */
export const detectorSection = z.strictObject({
  kind: z.literal('mask-rcnn').describe('Mask R-CNN.'),
  taps: z.array(z.int().min(0)).optional(),
  channels: count.optional(),
  window: count
    .describe('Side of the windows, in tokens, that all blocks but the taps attend within.')
    .default(14),
  hidden: count.describe('Width of the two layers of the box head.').default(1024),
  anchor_size: z
    .number()
    .positive()
    .describe(
      'Side of the anchors of the finest map, in pixels; it doubles from map to map. Default: twice the patch size.',
    )
    .optional(),
});

/** The detector of a model with this depth and patch size. */
export function detectorConfigOf(
  { taps, channels = 256, window, hidden, anchor_size: anchorSize }: z.output<typeof detectorSection>,
  { depth, patchSize }: { readonly depth: number; readonly patchSize: number },
): DetectorConfig {
  return {
    taps: taps ?? defaultTaps(depth),
    window,
    channels,
    hidden,
    anchorSize: anchorSize ?? 8 * finestStride(patchSize),
  };
}
