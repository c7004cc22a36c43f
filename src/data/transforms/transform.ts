import { InputError } from '../../base/errors.js';
import type { RandomStream } from '../../base/random.js';
import type { Box, Image } from '../dataset.js';
import type { PixelProgram, PixelStep } from './pixels.js';

/** All that a transform needs of an image: it makes all decisions before the image is decoded. */
export type ImageSize = Omit<Image, 'data'>;

/** The operations for an image of this size. They depend only on the size and the stream. */
export type Transform = (size: ImageSize, random: RandomStream) => PixelProgram;

/** A `Transform` without random draws, such as the evaluation transform. */
export type FixedTransform = (size: ImageSize) => PixelProgram;

/** Up to this size, images are used at their original size, without resampling (such as Fashion-MNIST and CIFAR). */
export const SMALL_IMAGE = 32;

/** Runs transforms in order. Each one gets the size that results from the previous ones. */
export function compose(...transforms: readonly Transform[]): Transform {
  return (size, random) => {
    const program: PixelStep[] = [];
    for (const transform of transforms) program.push(...transform(sizeAfter(size, program), random));
    return program;
  };
}

/** The size of an image after a program, from its size before. */
export function sizeAfter(size: ImageSize, program: PixelProgram): ImageSize {
  const last = program.findLast((step) => 'box' in step);
  if (last === undefined) return size;
  const { width, height } = last.op === 'resize' ? last : last.box;
  return { ...size, width, height };
}

/** Share of the shorter side that the official evaluation keeps: 224 of 256 pixels. */
export const EVAL_CROP = 224 / 256;

/**
 * The official evaluation transform. Above 32 pixels: resizes the shorter side to int(256/224 * size), bicubic, then takes the
 * centre crop. Up to 32: does nothing; the image must already have the size.
 *
 * @param crop share of the shorter side that the crop keeps, above 0 and up to 1: timm's `crop_pct`
 * @throws InputError (from the transform) if, up to 32 pixels, an image has another size, or if an image is so long and narrow
 *   that its longer side would have more than 2^20 pixels.
 *
 * @example
 * const transform = evalTransform(224);
 * transform({ width: 500, height: 375, channels: 3 }); // resize to 341 x 256, then crop
 */
export function evalTransform(size: number, crop = EVAL_CROP): FixedTransform {
  if (size <= SMALL_IMAGE) return requireSize(size);
  const shorter = evalShorterSide(size, crop);
  return (image) => {
    const resized = resizeShorter(image, shorter);
    return [...resized, centreCrop(sizeAfter(image, resized), size)];
  };
}

/** Number of pixels to which evaluation resizes the shorter side of an image, for a model that takes `size`. */
export function evalShorterSide(size: number, crop = EVAL_CROP): number {
  return size <= SMALL_IMAGE ? size : Math.floor(size / crop);
}

/**
 * A size x size crop at a uniformly random position of the image, which is padded with zeros on each side.
 *
 * @throws InputError (from the transform) if the padded image is smaller than the crop.
 */
export function randomCrop(size: number, padding: number): Transform {
  return (image, random) => {
    const down = image.height + 2 * padding - size;
    const right = image.width + 2 * padding - size;
    if (down < 0 || right < 0) {
      throw new InputError(`${sizeText(image)}, too small for a crop of ${size} x ${size}`, {
        hint: 'Train at a smaller image size, or enlarge the images.',
      });
    }
    const top = random.integer(0, down) - padding;
    const left = random.integer(0, right) - padding;
    return [{ op: 'crop', box: { left, top, width: size, height: size } }];
  };
}

/** Mirrors the image left to right with the given probability. */
export function horizontalFlip(probability: number): Transform {
  return (_, random) => (random.uniform() < probability ? [{ op: 'flip' }] : []);
}

/**
 * A random part of the image, resized (bicubic) to size x size. The part's share of the area is uniform in `scale`, its
 * width / height log-uniform in `ratio`. If ten draws do not fit into the image, it is the largest centred part whose ratio is
 * in range. This is torchvision's RandomResizedCrop.
 *
 * @param fast a JPEG may be decoded at a fraction of its size (see `PixelStep`). Default false.
 */
export function randomResizedCrop(
  size: number,
  scale: readonly [number, number],
  ratio: readonly [number, number],
  { fast = false }: { readonly fast?: boolean } = {},
): Transform {
  return (image, random) => {
    const box = randomBox(image, random, scale, ratio) ?? centredBox(image, ratio);
    return [{ op: 'resize', box, width: size, height: size, fast }];
  };
}

function randomBox(
  { width: fullWidth, height: fullHeight }: ImageSize,
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

function centredBox(image: ImageSize, [narrow, wide]: readonly [number, number]): Box {
  const ratio = image.width / image.height;
  const width = ratio > wide ? Math.max(roundHalfEven(image.height * wide), 1) : image.width;
  const height = ratio < narrow ? Math.max(roundHalfEven(image.width / narrow), 1) : image.height;
  const left = Math.floor((image.width - width) / 2);
  const top = Math.floor((image.height - height) / 2);
  return { left, top, width, height };
}

function requireSize(size: number): FixedTransform {
  return (image) => {
    if (image.width === size && image.height === size) return [];
    throw new InputError(`${sizeText(image)}, but the model needs ${size} x ${size}`, {
      hint: `Images are not resized for models up to ${SMALL_IMAGE} pixels: use images of ${size} x ${size}, or a model.image_size above ${SMALL_IMAGE}.`,
    });
  };
}

/** The addon's limit for the longer side, see native/image-program.cc. */
const MOST_SIDE = 2 ** 20;

/**
 * Resizes the shorter side of an image to `shorter` pixels, bicubic.
 * @throws InputError if the longer side would have more than 2^20 pixels
 */
export function resizeShorter(
  { width, height }: ImageSize,
  shorter: number,
  { fast = false }: { readonly fast?: boolean } = {},
): PixelProgram {
  if (Math.min(width, height) === shorter) return [];
  const box = { left: 0, top: 0, width, height };
  const long = (side: number, other: number) => {
    const length = Math.trunc((shorter * side) / other);
    if (length <= MOST_SIDE) return length;
    throw new InputError(
      `the image is ${width} x ${height} pixels: resized to a shorter side of ${shorter}, it would be ${length} pixels long`,
      { hint: 'An image with such an aspect ratio is probably damaged: remove it, or crop it.' },
    );
  };
  return width <= height
    ? [{ op: 'resize', box, width: shorter, height: long(height, width), ...(fast && { fast }) }]
    : [{ op: 'resize', box, width: long(width, height), height: shorter, ...(fast && { fast }) }];
}

function centreCrop({ width, height }: ImageSize, size: number): PixelStep {
  const left = roundHalfEven((width - size) / 2);
  const top = roundHalfEven((height - size) / 2);
  return { op: 'crop', box: { left, top, width: size, height: size } };
}

function between(low: number, high: number, share: number): number {
  return low + (high - low) * share;
}

/** Python's `round`. */
export function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

function sizeText({ width, height }: ImageSize): string {
  return `the image is ${width} x ${height} pixels`;
}
