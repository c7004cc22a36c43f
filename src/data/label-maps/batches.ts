import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import { type Batch, type Dataset, IGNORED } from '../dataset.js';
import type { MakeEvalBatch, MakeTrainBatch } from '../loader/loader.js';
import { readImage, readLabelled } from './read.js';
import { augmented, type LabelAugmentation, type Labelled } from './train-transform.js';

/**
 * Makes training batches of images with label maps. Each image's random numbers depend on (seed, phase, epoch, image). An image
 * smaller than the crop is padded on the right and at the bottom: with 0, which the task replaces after normalisation, and
 * its labels with `IGNORED`.
 */
export function labelledTrainBatch(classes: number, augmentation: LabelAugmentation): MakeTrainBatch {
  return async ({ dataset, seed, phase }, { epoch, indices }, signal) => {
    const made = await Promise.all(
      Array.from(indices, async (index) => {
        const read = await readLabelled(dataset, index, classes, signal);
        return augmented(read, randomStream([seed, 'augment', phase, epoch, index]), augmentation);
      }),
    );
    return padded(dataset, made, indices, augmentation.crop);
  };
}

function padded(dataset: Dataset, made: readonly Labelled[], indices: Int32Array, side: number): Batch {
  const [first] = made;
  const { channels } = first.image;
  const images = new Uint8Array(made.length * channels * side * side);
  const labelMaps = new Uint8Array(made.length * side * side).fill(IGNORED);
  for (const [slot, { image, labels }] of made.entries()) {
    if (image.channels !== channels) throw otherChannels(dataset, indices[slot]);
    for (let y = 0; y < image.height; y++) {
      for (let channel = 0; channel < channels; channel++) {
        const from = (channel * image.height + y) * image.width;
        const row = image.data.subarray(from, from + image.width);
        images.set(row, ((slot * channels + channel) * side + y) * side);
      }
      const row = labels.data.subarray(y * labels.width, (y + 1) * labels.width);
      labelMaps.set(row, (slot * side + y) * side);
    }
  }
  return {
    size: made.length,
    channels,
    height: side,
    width: side,
    images,
    labels: new Int32Array(made.length),
    indices,
    labelMaps,
    extents: Int32Array.from(made.flatMap(({ image }) => [image.height, image.width])),
  };
}

function otherChannels(dataset: Dataset, index: number): InputError {
  return new InputError(`${dataset.describe(index)}: a grey image in a batch of colour images`, {
    hint: 'Convert all images of the data set to the same colour type.',
  });
}

/** Makes evaluation batches of one image at its own size, with its labels if the data set has them. */
export function labelledEvalBatch(classes: number): MakeEvalBatch {
  return async (dataset, indices, signal) => {
    const [index] = indices;
    const { image, labels } =
      dataset.labelMap === undefined
        ? { image: await readImage(dataset, index, signal), labels: undefined }
        : await readLabelled(dataset, index, classes, signal);
    const { channels, height, width } = image;
    return {
      size: 1,
      channels,
      height,
      width,
      images: image.data,
      labels: new Int32Array(1),
      indices,
      labelMaps: labels?.data ?? new Uint8Array(height * width).fill(IGNORED),
    };
  };
}
