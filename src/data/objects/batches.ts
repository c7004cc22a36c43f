import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { Batch, Dataset } from '../dataset.js';
import { readImage } from '../label-maps/batches.js';
import { type Planes, sizeWithin } from '../label-maps/resize.js';
import type { MakeEvalBatch, MakeTrainBatch } from '../loader/loader.js';
import type { AnnotatedImage } from '../objects.js';
import {
  augmentedObjects,
  type ImageWithObjects,
  learntObjects,
  type ObjectAugmentation,
  resizedObjects,
} from './transform.js';

/**
 * Makes training batches of images with objects. Each image's random numbers depend on (seed, phase, epoch, image). The images
 * are padded on the right and at the bottom to the size of the largest one, and that to a multiple of `multiple` pixels.
 */
export function objectsTrainBatch(augmentation: ObjectAugmentation, multiple: number): MakeTrainBatch {
  return async ({ dataset, seed, phase }, { epoch, indices }, signal) => {
    const made = await Promise.all(
      Array.from(indices, async (index) => {
        const { image, annotated } = await readAnnotated(dataset, index, signal);
        const given = { image, objects: learntObjects(annotated) };
        return augmentedObjects(given, randomStream([seed, 'augment', phase, epoch, index]), augmentation);
      }),
    );
    return paddedBatch(made, indices, multiple);
  };
}

/**
 * Makes evaluation batches of one image, resized within a longer and a shorter side and padded. An image of a data set without objects
 * has no `objects`.
 */
export function objectsEvalBatch([long, short]: readonly [number, number], multiple: number): MakeEvalBatch {
  return async (dataset, indices, signal) => {
    const [index] = indices;
    const { image, annotated } = await readAnnotated(dataset, index, signal);
    const resized = resizedObjects(
      { image, objects: learntObjects(annotated) },
      sizeWithin(image, long, short),
    );
    const { objects, ...batch } = paddedBatch([resized], indices, multiple);
    return { ...batch, annotated: [annotated], ...(dataset.objects && objects && { objects }) };
  };
}

/** @throws InputError if the image has another size than its annotations state */
async function readAnnotated(
  dataset: Dataset,
  index: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly image: Planes; readonly annotated: AnnotatedImage }> {
  const image = await readImage(dataset, index, signal);
  const { width, height } = image;
  const annotated = dataset.objects?.(index) ?? { id: index + 1, width, height, objects: [] };
  if (annotated.width === width && annotated.height === height) return { image, annotated };
  throw new InputError(
    `${dataset.describe(index)}: ${width} x ${height} pixels, but its annotations state ${annotated.width} x ${annotated.height}`,
    { hint: 'Correct width and height of the image in the annotation file, or restore the image.' },
  );
}

function paddedBatch(made: readonly ImageWithObjects[], indices: Int32Array, multiple: number): Batch {
  const most = (side: (image: Planes) => number) =>
    Math.ceil(Math.max(...made.map(({ image }) => side(image))) / multiple) * multiple;
  const [height, width] = [most((image) => image.height), most((image) => image.width)];
  const channels = Math.max(...made.map(({ image }) => image.channels));
  const images = new Uint8Array(made.length * channels * height * width);
  for (const [slot, { image }] of made.entries()) {
    for (let channel = 0; channel < channels; channel++) {
      // The channel of a grey image is repeated.
      const plane = image.channels === 1 ? 0 : channel;
      for (let y = 0; y < image.height; y++) {
        const from = (plane * image.height + y) * image.width;
        const to = ((slot * channels + channel) * height + y) * width;
        images.set(image.data.subarray(from, from + image.width), to);
      }
    }
  }
  return {
    size: made.length,
    channels,
    height,
    width,
    images,
    labels: new Int32Array(made.length),
    indices,
    extents: Int32Array.from(made.flatMap(({ image }) => [image.height, image.width])),
    objects: made.map(({ objects }) => objects),
  };
}
