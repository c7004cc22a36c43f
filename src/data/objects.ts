/** Run lengths in a JSON file of COCO. As text, they are compressed. */
export interface CocoRle {
  /** [height, width]. */
  readonly size: readonly [height: number, width: number];
  readonly counts: string | readonly number[];
}

/** A mask: polygons, each as x0, y0, x1, y1, ... in pixels, or run lengths. */
export type CocoSegmentation = readonly (readonly number[])[] | CocoRle;

export interface ImageSides {
  readonly width: number;
  readonly height: number;
}

/** An object in an image, as a data set of objects has it. */
export interface AnnotatedObject {
  /** The id of its annotation. */
  readonly id: number;
  /** The label of its class. */
  readonly label: number;
  /** [x, y, width, height] in pixels. */
  readonly box: readonly [x: number, y: number, width: number, height: number];
  /** In pixels; decides whether the object is small, medium or large. */
  readonly area: number;
  /** The annotation marks a group of objects. */
  readonly isCrowd: boolean;
  readonly segmentation: CocoSegmentation;
}

/** An image with its objects, at its own size. */
export interface AnnotatedImage extends ImageSides {
  readonly id: number;
  readonly objects: readonly AnnotatedObject[];
}

/** The objects that a model learns to find in an image, in pixels of the batch's image. */
export interface ObjectsInImage extends ImageSides {
  /** N x 4: left, top, right, bottom, in pixels. */
  readonly boxes: Float32Array;
  /** N: from 0 on. */
  readonly classes: ArrayLike<number>;
  /** N. */
  readonly masks: readonly CocoSegmentation[];
}
