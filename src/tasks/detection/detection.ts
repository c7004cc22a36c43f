import { InputError } from '../../base/errors.js';
import type { Batch } from '../../data/dataset.js';
import type { ImageSides, ObjectsInImage } from '../../data/objects.js';
import { totalLoss, unpackedObjects } from '../../models/detection/detector.js';
import type { DetectorTarget } from '../../models/detection/detector-config.js';
import type { FoundObject } from '../../models/detection/mask-rcnn.js';
import { mul } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Task } from '../../training/task.js';
import { clearPadding, type InputOptions, imageInput } from '../input/image-input.js';
import { type DetectionResult, detectionCollection, resultOf } from './collection.js';
import { DETECTION_METRICS } from './metrics.js';

export interface DetectionOptions extends InputOptions, Omit<DetectorTarget, 'images'> {
  readonly classes: number;
}

/**
 * Detection and instance segmentation: the objects of an image with class, box and mask. The loss is Mask R-CNN's, which the model
 * computes itself (see `Detector`); the metrics are COCO's AP of boxes and masks. An image is evaluated by itself.
 * @throws InputError unless mean and std have one number per channel, and every std is above 0; later, if a batch has no objects
 */
export function detection(options: DetectionOptions): Task<DetectorTarget | DetectionResult> {
  const { classes, samples, proposals, limits } = options;
  const inputOf = imageInput(options);
  const padded = (batch: Batch) => {
    const input = inputOf(batch);
    clearPadding(input, batch);
    return input;
  };
  return {
    metrics: DETECTION_METRICS,

    prepare(batch) {
      const { objects } = batch;
      if (objects === undefined) {
        throw new InputError('a batch without objects', {
          hint: 'detection needs images with boxes and masks',
        });
      }
      return { input: scope(() => padded(batch)), target: { images: objects, samples, proposals, limits } };
    },

    loss: (terms) => totalLoss(terms),

    infer(batch, forward) {
      const { annotated = [] } = batch;
      const images = batch.objects ?? extentsOf(batch);
      const target = { images, samples, proposals, limits };
      const output = scope(() => forward(padded(batch), target));
      let found: readonly (readonly FoundObject[])[] | undefined;
      return {
        output,
        target: {
          ...target,
          annotated,
          found: () => {
            found ??= unpackedObjects(output, batch.size).map((objects, i) =>
              objects.map((each) => rescaled(each, images[i], annotated[i])),
            );
            return found;
          },
        },
      };
    },

    score: (output, { images }) => ({ loss: mul(totalLoss(output), images.length) }),

    collect: () => detectionCollection(classes) as ReturnType<NonNullable<Task['collect']>>,

    summarize: () => ({}),

    findings(target) {
      const { annotated, found } = target as DetectionResult;
      return found().map((objects, i) => ({
        image: annotated[i],
        found: objects.map((object) => {
          const { categoryId: label, score, box, segmentation } = resultOf(object, annotated[i]);
          return { label, score, box, segmentation };
        }),
      }));
    },
  };
}

/** The sizes of a batch's images without padding. */
function extentsOf({ size, height, width, extents }: Batch): ImageSides[] {
  return Array.from({ length: size }, (_, slot) => ({
    height: extents?.[2 * slot] ?? height,
    width: extents?.[2 * slot + 1] ?? width,
  }));
}

/** An object in pixels of the image at its own size. */
function rescaled(found: FoundObject, from: ImageSides | ObjectsInImage, to: ImageSides): FoundObject {
  const factors = [to.width / from.width, to.height / from.height];
  return { ...found, box: found.box.map((side, i) => side * factors[i % 2]) };
}
