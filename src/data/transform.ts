import { InputError } from '../base/errors.js';
import type { RandomStream } from '../base/random.js';
import type { Box, Image } from './dataset.js';
import { resizeBicubic, wholeOf } from './resize.js';

/** One step of augmentation: a new image, or the same one; a function of the image and the stream alone. */
export type Transform = (image: Image, random: RandomStream) => Image;

/** What the official code does to images of evaluation: a `Transform` that draws nothing. */
export type FixedTransform = (image: Image) => Image;

/** Up to this size images are used at their own size (as Fashion-MNIST and CIFAR are): no resampling. */
const SMALL = 32;

/**
 * Random crop and flip for training at `size`, as the official code before RandAugment: up to 32
 * pixels a crop after padding by 4, above 32 a random resized crop.
 */
export function trainTransform(size: number): Transform {
  const crop = size <= SMALL ? randomCrop(size, 4) : randomResizedCrop(size, [0.08, 1], [3 / 4, 4 / 3]);
  return compose(crop, horizontalFlip(0.5));
}

/**
 * The official evaluation transform. Above 32: shorter side to int(256/224 * size), bicubic, then
 * the centre crop. Up to 32: nothing, the image must have the size already.
 *
 * @throws InputError (from the transform) if a small image has another size.
 */
export function evalTransform(size: number): FixedTransform {
  return size <= SMALL ? requireSize(size) : (image) => centreCrop(resizeShorter(image, size), size);
}

export function compose(...transforms: readonly Transform[]): Transform {
  return (image, random) => transforms.reduce((made, transform) => transform(made, random), image);
}

/**
 * A size x size crop at a uniform place of the image padded with zeros on each side.
 *
 * @throws InputError (from the transform) if the padded image is smaller than the crop.
 */
export function randomCrop(size: number, padding: number): Transform {
  return (image, random) => {
    const down = image.height + 2 * padding - size;
    const right = image.width + 2 * padding - size;
    if (down < 0 || right < 0) {
      throw new InputError(`${sizeOf(image)}, too small for a crop of ${size} x ${size}`, {
        hint: 'Train at a smaller image size, or enlarge the images.',
      });
    }
    const top = random.integer(0, down) - padding;
    const left = random.integer(0, right) - padding;
    return crop(image, { left, top, width: size, height: size });
  };
}

/** Mirrors the image left to right with the given probability. */
export function horizontalFlip(probability: number): Transform {
  return (image, random) => (random.uniform() < probability ? mirrored(image) : image);
}

/**
 * A random part of the image, resized (bicubic) to size x size. The part's share of the area is
 * uniform in `scale`, its width / height log-uniform in `ratio`; after ten tries that do not fit,
 * the largest centred part whose ratio is in range. As torchvision's RandomResizedCrop.
 */
export function randomResizedCrop(
  size: number,
  scale: readonly [number, number],
  ratio: readonly [number, number],
): Transform {
  return (image, random) => {
    const box = randomBox(image, random, scale, ratio) ?? centredBox(image, ratio);
    return resizeBicubic(image, size, size, box);
  };
}

function randomBox(
  { width: fullWidth, height: fullHeight }: Image,
  random: RandomStream,
  scale: readonly [number, number],
  [narrow, wide]: readonly [number, number],
): Box | undefined {
  for (let tries = 0; tries < 10; tries++) {
    const area = fullWidth * fullHeight * between(scale[0], scale[1], random.uniform());
    const ratio = Math.exp(between(Math.log(narrow), Math.log(wide), random.uniform()));
    const width = roundHalfEven(Math.sqrt(area * ratio));
    const height = roundHalfEven(Math.sqrt(area / ratio));
    if (width > 0 && width <= fullWidth && height > 0 && height <= fullHeight) {
      const top = random.integer(0, fullHeight - height);
      const left = random.integer(0, fullWidth - width);
      return { left, top, width, height };
    }
  }
  return undefined;
}

function centredBox(image: Image, [narrow, wide]: readonly [number, number]): Box {
  const ratio = image.width / image.height;
  const width = ratio > wide ? Math.max(roundHalfEven(image.height * wide), 1) : image.width;
  const height = ratio < narrow ? Math.max(roundHalfEven(image.width / narrow), 1) : image.height;
  const left = Math.floor((image.width - width) / 2);
  const top = Math.floor((image.height - height) / 2);
  return { left, top, width, height };
}

function requireSize(size: number): FixedTransform {
  return (image) => {
    if (image.width === size && image.height === size) return image;
    throw new InputError(`${sizeOf(image)}, but the model takes ${size} x ${size}`, {
      hint: `Up to ${SMALL} pixels images are not resized: give images of ${size} x ${size}.`,
    });
  };
}

function resizeShorter(image: Image, size: number): Image {
  const shorter = Math.trunc((256 / 224) * size);
  if (Math.min(image.width, image.height) === shorter) return image;
  const long = (side: number, other: number) => Math.trunc((shorter * side) / other);
  return image.width <= image.height
    ? resizeBicubic(image, shorter, long(image.height, image.width))
    : resizeBicubic(image, long(image.width, image.height), shorter);
}

function centreCrop(image: Image, size: number): Image {
  const left = roundHalfEven((image.width - size) / 2);
  const top = roundHalfEven((image.height - size) / 2);
  return crop(image, { left, top, width: size, height: size });
}

/** The part of the image in a box, which may reach over the edge: what is outside is zero. */
function crop(image: Image, box: Box): Image {
  const { channels } = image;
  const whole = wholeOf(image);
  const left = Math.max(box.left, 0);
  const right = Math.min(box.left + box.width, whole.width);
  const bottom = Math.min(box.top + box.height, whole.height);
  const data = new Uint8Array(box.height * box.width * channels);
  for (let y = Math.max(box.top, 0); y < bottom && left < right; y++) {
    const from = y * image.width;
    const to = (y - box.top) * box.width - box.left;
    data.set(
      image.data.subarray((from + left) * channels, (from + right) * channels),
      (to + left) * channels,
    );
  }
  return { width: box.width, height: box.height, channels, data };
}

function mirrored({ width, height, channels, data }: Image): Image {
  const out = new Uint8Array(data.length);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = width - 1; x >= 0; x--) {
      const from = (y * width + x) * channels;
      for (let c = 0; c < channels; c++) out[to++] = data[from + c];
    }
  }
  return { width, height, channels, data: out };
}

function between(low: number, high: number, share: number): number {
  return low + (high - low) * share;
}

/** Python's `round`. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

function sizeOf({ width, height }: Image): string {
  return `the image is ${width} x ${height} pixels`;
}
