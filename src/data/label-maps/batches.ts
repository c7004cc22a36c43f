import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import { type Batch, type Dataset, IGNORED } from '../dataset.js';
import { loadBatch } from '../loader/batch.js';
import type { MakeEvalBatch, MakeTrainBatch } from '../loader/loader.js';
import type { Planes } from './resize.js';
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

/**
 * Decodes an image and its label map at their own size. In the file, 0 means no label and k the class k - 1.
 * @param classes number of classes
 * @throws InputError naming the file if one of them cannot be read, they differ in size, or a label is invalid
 */
async function readLabelled(
  dataset: Dataset,
  index: number,
  classes: number,
  signal?: AbortSignal,
): Promise<Labelled> {
  const [image, stored] = await Promise.all([
    readImage(dataset, index, signal),
    decoded(labelMaps(dataset), index, signal),
  ]);
  const file = labelFile(dataset, index);
  if (stored.height !== image.height || stored.width !== image.width) {
    throw new InputError(
      `${file}: ${stored.width} x ${stored.height} labels, but the image ${dataset.describe(index)} has ${image.width} x ${image.height} pixels`,
      { hint: 'A label map needs one label for each pixel of its image.' },
    );
  }
  return { image, labels: { ...stored, channels: 1, data: classesOf(greyOf(stored, file), classes, file) } };
}

/** Decodes an image at its own size. */
export async function readImage(dataset: Dataset, index: number, signal?: AbortSignal): Promise<Planes> {
  return decoded(dataset, index, signal);
}

async function decoded(dataset: Dataset, index: number, signal: AbortSignal | undefined): Promise<Planes> {
  const plan = () => ({ program: [] });
  const batch: Batch = await loadBatch({
    dataset,
    indices: Int32Array.of(index),
    plan,
    ...(signal && { signal }),
  });
  const { channels, height, width, images } = batch;
  return { channels, height, width, data: images };
}

/** The label maps of a data set as its images. */
function labelMaps(dataset: Dataset): Dataset {
  return {
    length: dataset.length,
    classes: dataset.classes,
    label: () => 0,
    describe: (i) => labelFile(dataset, i),
    source: (i) => mapOf(dataset, i),
  };
}

function mapOf(dataset: Dataset, index: number) {
  const map = dataset.labelMap?.(index);
  if (map !== undefined) return map;
  throw new InputError(`${dataset.describe(index)}: has no label map`, {
    hint: 'Use a data set whose pixels are labelled: data.format: ade20k.',
  });
}

function labelFile(dataset: Dataset, index: number): string {
  return mapOf(dataset, index).file;
}

/** The grey values of a map, which is decoded to one or three equal channels. */
function greyOf({ channels, height, width, data }: Planes, file: string): Uint8Array {
  const area = height * width;
  const grey = data.subarray(0, area);
  for (let channel = 1; channel < channels; channel++) {
    if (Buffer.compare(data.subarray(channel * area, (channel + 1) * area), grey) === 0) continue;
    throw new InputError(`${file}: a label map must be an 8-bit grey image, but this one has colours`, {
      hint: 'Store the label of each pixel as its grey value: 0 for no label, k for class k - 1.',
    });
  }
  return grey;
}

function classesOf(stored: Uint8Array, classes: number, file: string): Uint8Array {
  const table = Uint8Array.from({ length: 256 }, (_, label) => (label === 0 ? IGNORED : label - 1));
  const found = stored.map((label) => table[label]);
  const wrong = stored.find((label) => label > classes);
  if (wrong === undefined) return found;
  throw new InputError(`${file}: the label ${wrong}, but there are ${classes} classes`, {
    hint: `Labels must be 0 for no label, or 1 to ${classes}; correct the file, or model.classes.`,
  });
}
