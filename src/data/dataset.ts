/** 8-bit pixels, height x width x channels, interleaved. May be a view of its data set: not to be written to. */
export interface Image {
  readonly width: number;
  readonly height: number;
  /** 1: grey, 3: RGB. */
  readonly channels: 1 | 3;
  readonly data: Uint8Array;
}

/** Labelled images by index, 0 ... length-1. */
export interface Dataset {
  readonly length: number;
  /** Names of the classes; a label is an index into this list. */
  readonly classes: readonly string[];
  label(i: number): number;
  /** What a message calls image `i`: its file, or its place in one. */
  describe(i: number): string;
  /** The pixels: at once where they are in memory, else a promise that decodes them. */
  image(i: number): Image | Promise<Image>;
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
}
