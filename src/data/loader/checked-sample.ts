import { InputError } from '../../base/errors.js';
import { type Dataset, type EncodedImage, type Image, isEncoded } from '../dataset.js';

/**
 * The source of an image. Checks that the amount of pixel data matches the stated size, because other data would overwrite
 * neighbouring images in a batch.
 * @throws InputError naming the image if the amount does not match
 */
export function sourceOf(dataset: Dataset, index: number): Image | EncodedImage {
  const source = dataset.source(index);
  if (isEncoded(source)) return source;
  const { width, height, channels, data } = source;
  if (data.length === width * height * channels) return source;
  throw new InputError(
    `${dataset.describe(index)}: ${width} x ${height} pixels of ${channels} channels with ${data.length} bytes of data`,
    { hint: `The data must have width x height x channels = ${width * height * channels} bytes.` },
  );
}

/**
 * The label of an image.
 * @throws InputError naming the image if its label is not an integer
 */
export function labelOf(dataset: Dataset, index: number): number {
  const label = dataset.label(index);
  if (Number.isInteger(label)) return label;
  throw new InputError(`${dataset.describe(index)}: its label is ${label}`, {
    hint: 'A label must be an index into the classes of the data set.',
  });
}
