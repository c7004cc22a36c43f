import { InputError, RunError } from '../../base/errors.js';
import type { Batch, Box, Mix, Shrink } from '../../data/dataset.js';
import {
  copyInto,
  divide,
  expand,
  fillNormal,
  flip,
  lerp,
  lowFrequencies,
  reshape,
  resizeBicubic,
  select,
  slice,
  sub,
  to,
  zeros,
} from '../../torch/ops.js';
import { Generator } from '../../torch/random.js';
import { keep, scope } from '../../torch/scope.js';
import { fromArray, type Tensor, upload, uploadData } from '../../torch/tensor.js';

export interface InputOptions {
  /** Channels of the model's input; the channel of grey images is repeated. */
  readonly channels: number;
  /** One per channel, for pixels in 0 ... 1. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  readonly device: string;
}

/**
 * Prepares a batch of images for the model: normalises, then erases, mixes and shrinks them as specified in the batch.
 * @returns a function from a batch to F32 [B, channels, H, W] on the device; if it shrinks, [B, channels, size, size]
 * @throws InputError unless mean and std have one finite number per channel, and every std is above 0; later, if a batch has
 *   another number of channels than the model, and more than one
 */
export function imageInput(options: InputOptions): (batch: Batch) => Tensor {
  requireNormalisation(options);
  let noise: Generator | undefined;
  let constants: Constants | undefined;
  return (batch) =>
    scope(() => {
      const { mean, std } = constants ?? constantsOf(options);
      // Kept on a GPU, where making them waits.
      if (options.device !== 'cpu') constants ??= { mean: keep(mean), std: keep(std) };
      const pixels = normalised(batch, options, { mean, std });
      const { erased = [], noiseKey, mix, shrink } = batch;
      if (erased.length > 0) {
        if (noiseKey === undefined)
          throw new RunError('a batch with boxes to erase has no random key for their noise');
        noise ??= new Generator();
        erase(pixels, erased, noise.seed(noiseKey));
      }
      const images = mix === undefined ? pixels : mixed(pixels, mix);
      return shrink === undefined ? images : shrunk(images, shrink);
    });
}

function requireNormalisation({ channels, mean, std }: InputOptions): void {
  for (const [name, values] of Object.entries({ mean, std })) {
    const isRight = values.length === channels && values.every(Number.isFinite);
    if (isRight && (name === 'mean' || values.every((value) => value > 0))) continue;
    throw new InputError(`${name} is [${values.join(', ')}], but there are ${channels} channels`, {
      hint: 'it must have one number per channel, for pixels from 0 to 1; std must be above 0',
    });
  }
}

/** F32 [1, channels, 1, 1] on the device. */
interface Constants {
  readonly mean: Tensor;
  readonly std: Tensor;
}

function constantsOf({ channels, mean, std, device }: InputOptions): Constants {
  const perChannel = (values: readonly number[]) =>
    fromArray(Float32Array.from(values), [1, channels, 1, 1], device);
  return { mean: perChannel(mean), std: perChannel(std) };
}

function normalised(batch: Batch, { channels, device }: InputOptions, { mean, std }: Constants): Tensor {
  if (batch.channels !== channels && batch.channels !== 1) {
    throw new InputError(`the images have ${batch.channels} channels, but the model needs ${channels}`, {
      hint: `set model.channels to ${batch.channels}`,
    });
  }
  const shape = [batch.size, batch.channels, batch.height, batch.width];
  const pixels = to(uploadData({ dtype: 'U8', shape, data: batch.images }, device), { dtype: 'F32' });
  const scaled = expand(divide(pixels, 255), [-1, channels, -1, -1]);
  return divide(sub(scaled, mean), std);
}

/** Fills the boxes with N(0, 1), in place. The noise is drawn on the CPU, so it is the same on every device. */
function erase(pixels: Tensor, boxes: readonly (Box & { slot: number })[], noise: Generator): void {
  const channels = pixels.shape[1];
  const sizes = boxes.map(({ height, width }) => channels * height * width);
  const drawn = zeros([sizes.reduce((a, b) => a + b, 0)]);
  fillNormal(drawn, 0, 1, noise);
  const fill = upload(drawn, pixels.device);
  let end = 0;
  for (const [i, box] of boxes.entries()) {
    end += sizes[i];
    const own = reshape(slice(fill, 0, end - sizes[i], end), [channels, box.height, box.width]);
    copyInto(part(select(pixels, 0, box.slot), box), own);
  }
}

/** Mixes each image with its partner: mixup returns a new tensor, cutmix works in place. */
function mixed(pixels: Tensor, { lambda, box }: Mix): Tensor {
  if (box === undefined) return lerp(pixels, flip(pixels, 0), 1 - lambda);
  const pasted = part(pixels, box);
  copyInto(pasted, flip(pasted, 0));
  return pixels;
}

function shrunk(pixels: Tensor, { size, lowPass }: Shrink): Tensor {
  return lowPass ? lowFrequencies(pixels, size, size) : resizeBicubic(pixels, size, size);
}

/** A view of a box of images [..., H, W]. */
function part(pixels: Tensor, { left, top, width, height }: Box): Tensor {
  return slice(slice(pixels, -2, top, top + height), -1, left, left + width);
}

/** Sets the padding of normalised images to 0, the mean colour. */
export function clearPadding(input: Tensor, { extents, height, width }: Batch): void {
  if (extents === undefined) return;
  const clear = (part: Tensor) => copyInto(part, zeros(part.shape, part.dtype, part.device));
  for (let slot = 0; slot < extents.length / 2; slot++) {
    const [rows, columns] = [extents[2 * slot], extents[2 * slot + 1]];
    const image = slice(input, 0, slot, slot + 1);
    if (rows < height) clear(slice(image, 2, rows));
    if (columns < width) clear(slice(image, 3, columns));
  }
}
