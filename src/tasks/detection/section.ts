import { z } from 'zod';
import { count, rate } from '../../base/number-schemas.js';

const sides = z.tuple([count, count]);
const shorter = z.array(count).min(1);

const crop = z
  .strictObject({
    prob: rate.describe('Share of the images that are cropped.').default(0.5),
    scales: shorter
      .describe('Shorter sides before the crop, of which one is drawn.')
      .default([400, 500, 600]),
    size: sides.describe('Least and largest side of the crop.').default([384, 600]),
  })
  .nullable()
  .describe("DETR's policy: resize, crop, and then resize to one of scales. null: no crop.");

const augment = z
  .strictObject({
    scales: shorter.describe('Shorter sides in pixels, of which one is drawn for each image.').default([800]),
    flip: rate.describe('Probability of a horizontal flip.').default(0.5),
    crop: crop.default(null),
    largest: count
      .nullable()
      .describe('At the end, images are cropped to at most this height and width. null: no crop.')
      .default(null),
  })
  .describe('Training transforms of images, boxes and masks.');

const training = z
  .strictObject({
    anchors: count
      .describe('Anchors of each image that the loss samples, at most half of them positive.')
      .default(256),
    regions: count
      .describe('Regions of each image that the heads are trained on, at most a quarter of them positive.')
      .default(512),
    before_nms: count
      .describe('Proposals of each map of the pyramid before overlapping ones are suppressed.')
      .default(2000),
    proposals: count.describe('Proposals of each image.').default(1000),
  })
  .describe('How regions are sampled in training.');

const evaluation = z
  .strictObject({
    before_nms: count
      .describe('Proposals of each map of the pyramid before overlapping ones are suppressed.')
      .default(1000),
    proposals: count.describe('Proposals of each image.').default(1000),
    score: rate.describe('Objects need a higher score.').default(0.05),
    nms: rate
      .describe('An object is dropped if its IoU with a better one of its class is higher.')
      .default(0.5),
    objects: count.max(100).describe('Objects of each image; COCO counts up to 100 of a class.').default(100),
  })
  .describe('Which objects are found.');

/** The section `detection` of a recipe. */
export const detectionSection = z
  .strictObject({
    scale: sides
      .describe('Longer and shorter side, in pixels, that evaluation images are resized within.')
      .default([1333, 800]),
    augment: augment.prefault({}),
    training: training.prefault({}),
    evaluation: evaluation.prefault({}),
  })
  .describe('Settings of task: detection.');

export type DetectionSettings = z.output<typeof detectionSection>;
