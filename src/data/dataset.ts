import { InputError } from '../base/errors.js';
import type { RandomKey } from '../base/random.js';
import type { AnnotatedImage, ObjectsInImage } from './objects.js';
import type { PassedOver } from './passed-over.js';

/** 8-bit pixels, height x width x channels, interleaved. Read-only, because it may be a view of its data set. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** 1: grey, 3: RGB. */
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** Decoding options that image readers handle differently. */
export interface DecodeOptions {
  /** Whether to apply the EXIF orientation. Default `ignore`. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  /** For 16-bit grey. `clip`: all values above 255 are white; `scale`: 65535 is white. Default `clip`. */
  readonly grey16?: 'clip' | 'scale' | undefined;
}

/** An encoded image (JPEG, PNG ...): a file, or the part of a file that starts at `start`. */
export interface EncodedImage extends DecodeOptions {
  /** Bytes that are not UTF-8 are lone surrogates, as in `nameOf` of base/file-names.ts. */
  readonly file: string;
  /** Position and length in bytes. Either both or neither are set. */
  readonly start?: number;
  readonly bytes?: number;
}

/** Labelled images by index, 0 ... length-1. */
export interface Dataset {
  readonly length: number;
  /** Names of the classes; a label is an index into this list. */
  readonly classes: readonly string[];
  /** True if the data set has no class names; `classes` then has their numbers. */
  readonly isUnnamed?: boolean | undefined;
  /** Files and folders of the data set that are not read. */
  readonly passedOver?: readonly PassedOver[];
  label(i: number): number;
  /** The name of image `i` in messages: its file, or its position in a file. */
  describe(i: number): string;
  /** The pixels if they are in memory, otherwise the encoded image to read and decode. */
  source(i: number): Image | EncodedImage;
  /**
   * For segmentation: the label of each pixel, as an 8-bit grey image in which 0 means no label and k the class k - 1. Images
   * with label maps have no label of their own: `label` is then 0.
   */
  readonly labelMap?: ((i: number) => EncodedImage) | undefined;
  /** For detection: the objects of each image. Images with objects have no label of their own: `label` is then 0. */
  readonly objects?: ((i: number) => AnnotatedImage) | undefined;
  /** For detection: the id of each class in the annotation file, by label. */
  readonly categoryIds?: readonly number[] | undefined;
}

export function isEncoded(source: Image | EncodedImage): source is EncodedImage {
  return 'file' in source;
}

/** Whether each image has a label, and not each pixel or object. */
export function isClassified({ labelMap, objects }: Pick<Dataset, 'labelMap' | 'objects'>): boolean {
  return labelMap === undefined && objects === undefined;
}

/** A part of an image, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Mixup or cutmix of a batch with its reverse: image b keeps share `lambda`, image size-1-b gives the rest. */
export interface Mix {
  /** Share of the image's own target in the mixed target; in mixup, also of its pixels. */
  readonly lambda: number;
  /** For cutmix: the box that is copied from the partner. Absent for mixup. */
  readonly box?: Box;
}

/** How images become smaller before the model sees them. */
export interface Shrink {
  /** Height and width in pixels. */
  readonly size: number;
  /** Keep only the low frequencies (EfficientTrain's low-frequency crop), instead of resizing. */
  readonly lowPass: boolean;
}

/** In a label map of a batch: a pixel without a label. */
export const IGNORED = 255;

/** Images of one size, before normalisation. */
export interface Batch {
  readonly size: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** size x channels x height x width, planar. */
  readonly images: Uint8Array;
  /** Length: size. */
  readonly labels: Int32Array;
  /** Length: size. Index of each image in the data set. */
  readonly indices: Int32Array;
  /** Random erasing: boxes that are filled with N(0, 1) noise after normalisation, seeded with `noiseKey`. */
  readonly erased?: readonly (Box & { readonly slot: number })[];
  readonly noiseKey?: RandomKey;
  /** Applied after erasing. */
  readonly mix?: Mix;
  /** Applied last. Absent: the model sees the images at their size. */
  readonly shrink?: Shrink;
  /** For segmentation, size x height x width: the class of each pixel, or `IGNORED`. */
  readonly labelMaps?: Uint8Array;
  /** Height and width of each image, one pair after another. The rest of an image is padding on the right and at the bottom. */
  readonly extents?: Int32Array;
  /** For detection: the objects of each image, in pixels of `images`. Absent if the data set has none. */
  readonly objects?: readonly ObjectsInImage[];
  /** For detection, in evaluation: each image as the data set has it. */
  readonly annotated?: readonly AnnotatedImage[];
  /** Slots whose image could not be read and was replaced by another. */
  readonly replaced?: readonly number[];
}

/** A data set whose images are decoded with these options. */
export function decodedAs<T extends Dataset>(dataset: T, { exif, grey16 }: DecodeOptions): T {
  if ((exif ?? 'ignore') === 'ignore' && (grey16 ?? 'clip') === 'clip') return dataset;
  return {
    ...dataset,
    source: (i) => {
      const source = dataset.source(i);
      return isEncoded(source) ? { ...source, exif, grey16 } : source;
    },
  };
}

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
