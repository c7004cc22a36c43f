import { z } from 'zod';
import { count, notNegative, positive, rate } from '../../base/number-schemas.js';

const sides = z.tuple([count, count]);

const augment = z
  .strictObject({
    ratio: z.tuple([positive, positive]).describe('Range of the random factor of scale.').default([0.5, 2]),
    cat_max_ratio: positive
      .max(1)
      .describe(
        'A crop is drawn again, at most ten times, if one class has this share of its labelled pixels.',
      )
      .default(0.75),
    flip: rate.describe('Probability of a horizontal flip.').default(0.5),
    photometric: z
      .boolean()
      .describe('Random brightness, contrast, saturation and hue (of RGB images).')
      .default(true),
  })
  .describe('Training transforms of images and labels. The crop has the side model.image_size.');

const evaluation = z
  .strictObject({
    mode: z
      .enum(['whole', 'slide'])
      .describe('whole: the whole image in one pass. slide: the mean of overlapping windows.')
      .default('whole'),
    window: count.describe('For slide: side of a window, in pixels. Default: model.image_size.').optional(),
    stride: count
      .describe('For slide: pixels between windows. Default: two thirds of the window, rounded down.')
      .optional(),
    scales: z
      .array(positive)
      .min(1)
      .describe(
        'Factors of scale. With several, the probabilities are averaged; 0.5 to 1.75 by 0.25 is usual.',
      )
      .default([1]),
    flip: z.boolean().describe('Average with the mirrored image.').default(false),
  })
  .describe('How images are evaluated.');

/** The section `segmentation` of a recipe. */
export const segmentationSection = z
  .strictObject({
    scale: sides
      .describe('Longer and shorter side, in pixels, that images are resized within.')
      .default([2048, 512]),
    augment: augment.prefault({}),
    evaluation: evaluation.prefault({}),
    aux_weight: notNegative.describe("Weight of the auxiliary head's loss.").default(0.4),
  })
  .describe('Settings of task: segmentation.');

export type SegmentationSettings = z.output<typeof segmentationSection>;
