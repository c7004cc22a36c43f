import type { RandomKey } from '../base/random.js';
import type { PassedOver } from './passed-over.js';

/** 8-bit pixels, height x width x channels, interleaved. May be a view of its data set: not to be written to. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** 1: grey, 3: RGB. */
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** How an image is decoded, where people differ. */
export interface DecodeOptions {
  /** EXIF's orientation. Default `ignore`. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  /** Of 16-bit grey: `clip`, all above 255 is white; `scale`, 65535 is. Default `clip`. */
  readonly grey16?: 'clip' | 'scale' | undefined;
}

/** An image still encoded (JPEG, PNG ...): a file, or the part of one that starts at `start`. */
export interface EncodedImage extends DecodeOptions {
  /** Bytes that are not UTF-8 are lone surrogates, as `nameOf` of base/file-names.ts has them. */
  readonly file: string;
  /** Both or neither: bytes. */
  readonly start?: number;
  readonly bytes?: number;
}

/** Labelled images by index, 0 ... length-1. */
export interface Dataset {
  readonly length: number;
  /** Names of the classes; a label is an index into this list. */
  readonly classes: readonly string[];
  /** The data set does not name its classes: `classes` has their numbers. */
  readonly isUnnamed?: boolean | undefined;
  /** What lies beside the images and is not read. */
  readonly passedOver?: readonly PassedOver[];
  label(i: number): number;
  /** What a message calls image `i`: its file, or its place in one. */
  describe(i: number): string;
  /** The pixels where they are in memory, else where to read and decode them. */
  source(i: number): Image | EncodedImage;
}

export function isEncoded(source: Image | EncodedImage): source is EncodedImage {
  return 'file' in source;
}

/** A part of an image, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

/** Mixup or cutmix of a whole batch with its own reverse: image b keeps `lambda`, image size-1-b gives the rest. */
export interface Mix {
  /** Share of the image's own target in the mixed one; of its pixels too, in mixup. */
  readonly lambda: number;
  /** cutmix: this box comes from the partner. Without: mixup. */
  readonly box?: Box;
}

/** Some images of one size, as a model takes them, before normalisation. */
export interface Batch {
  readonly size: number;
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /** size x channels x height x width, planar. */
  readonly images: Uint8Array;
  /** size. */
  readonly labels: Int32Array;
  /** size: where each image is in the data set. */
  readonly indices: Int32Array;
  /** Random erasing: boxes to be filled with N(0, 1) after normalisation, drawn from `noiseKey`. */
  readonly erased?: readonly (Box & { readonly slot: number })[];
  readonly noiseKey?: RandomKey;
  /** After erasing. */
  readonly mix?: Mix;
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
