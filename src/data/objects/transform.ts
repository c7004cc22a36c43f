import type { RandomStream } from '../../base/random.js';
import { decodeRle, encodeRle } from '../coco/rle.js';
import { compressRle, segmentationRle } from '../coco/segmentation.js';
import type { Box } from '../dataset.js';
import { isLearnt } from '../formats/coco.js';
import {
  flipped,
  type PixelSize,
  type Planes,
  resizeBilinearBox,
  resizeNearestBox,
  sizeWithin,
} from '../label-maps/resize.js';
import type { AnnotatedImage, CocoSegmentation, ObjectsInImage } from '../objects.js';

export interface ObjectAugmentation {
  /** Limit of the longer side, in pixels. */
  readonly long: number;
  /** Shorter sides, of which one is drawn for each image. */
  readonly short: readonly number[];
  /** Probability of a horizontal flip. */
  readonly flip: number;
  /** With a probability, the image is resized, cropped, and then resized again (DETR's policy). */
  readonly crop: CropPolicy | null;
  /** Images are cropped to at most this height and width at the end, in pixels. */
  readonly largest: number | null;
}

interface CropPolicy {
  readonly prob: number;
  /** Shorter sides before the crop. */
  readonly short: readonly number[];
  /** Least and largest side of the crop. */
  readonly size: readonly [number, number];
}

/** An image with the objects to learn. */
export interface ImageWithObjects {
  readonly image: Planes;
  readonly objects: ObjectsInImage;
}

/** The objects of an image that a model learns, at the image's own size. */
export function learntObjects(image: AnnotatedImage): ObjectsInImage {
  const { width, height } = image;
  const learnt = image.objects.filter((object) => isLearnt(object, image));
  const boxes = learnt.flatMap(({ box: [x, y, w, h] }) => [
    Math.max(x, 0),
    Math.max(y, 0),
    Math.min(x + w, width),
    Math.min(y + h, height),
  ]);
  return {
    width,
    height,
    boxes: Float32Array.from(boxes),
    classes: learnt.map(({ label }) => label),
    masks: learnt.map(({ segmentation }) => segmentation),
  };
}

/** mmdetection's training transforms of images with boxes and masks. Objects that a crop leaves nothing of are left out. */
export function augmentedObjects(
  given: ImageWithObjects,
  random: RandomStream,
  { long, short, flip, crop, largest }: ObjectAugmentation,
): ImageWithObjects {
  const isFlipped = random.uniform() < flip;
  let made = given;
  if (crop !== null && random.uniform() < crop.prob) {
    made = resizedObjects(made, sizeWithin(made.image, long, drawn(crop.short, random)));
    made = cropped(made, drawnCrop(made.image, crop.size, random));
  }
  made = resizedObjects(made, sizeWithin(made.image, long, drawn(short, random)));
  if (largest !== null) made = cropped(made, drawnBox(made.image, [largest, largest], random));
  return isFlipped ? mirrored(made) : made;
}

function drawn(values: readonly number[], random: RandomStream): number {
  return values.length === 1 ? values[0] : values[random.integer(0, values.length - 1)];
}

function drawnCrop(image: PixelSize, [least, most]: readonly [number, number], random: RandomStream): Box {
  const side = (length: number) => random.integer(Math.min(length, least), Math.min(length, most));
  return drawnBox(image, [side(image.height), side(image.width)], random);
}

function drawnBox(
  { height, width }: PixelSize,
  [rows, columns]: readonly [number, number],
  random: RandomStream,
): Box {
  const top = random.integer(0, Math.max(height - rows, 0));
  const left = random.integer(0, Math.max(width - columns, 0));
  return { left, top, height: Math.min(rows, height), width: Math.min(columns, width) };
}

/** Resizes an image, bilinear without antialiasing, and its objects. */
export function resizedObjects({ image, objects }: ImageWithObjects, size: PixelSize): ImageWithObjects {
  if (size.height === image.height && size.width === image.width) return { image, objects };
  const whole = { left: 0, top: 0, ...size };
  const factors = [size.width / objects.width, size.height / objects.height];
  const scaled = (coordinate: number, i: number) => coordinate * factors[i % 2];
  return {
    image: resizeBilinearBox(image, size, whole),
    objects: {
      ...size,
      boxes: objects.boxes.map(scaled),
      classes: objects.classes,
      masks: objects.masks.map((mask) =>
        masked(mask, objects, { points: scaled, pixels: (planes) => resizeNearestBox(planes, size, whole) }),
      ),
    },
  };
}

function cropped({ image, objects }: ImageWithObjects, box: Box): ImageWithObjects {
  const { left, top, width, height } = box;
  const moved = objects.boxes.map((side, i) =>
    i % 2 === 0 ? Math.min(Math.max(side - left, 0), width) : Math.min(Math.max(side - top, 0), height),
  );
  const kept = Array.from(objects.masks.keys()).filter(
    (i) => moved[4 * i + 2] > moved[4 * i] && moved[4 * i + 3] > moved[4 * i + 1],
  );
  const points = (coordinate: number, i: number) => coordinate - (i % 2 === 0 ? left : top);
  // A resize to the same size is the crop of a box.
  const pixels = (planes: Planes) => resizeNearestBox(planes, planes, box);
  return {
    image: resizeNearestBox(image, image, box),
    objects: {
      width,
      height,
      boxes: Float32Array.from(kept.flatMap((i) => [...moved.subarray(4 * i, 4 * i + 4)])),
      classes: kept.map((i) => objects.classes[i]),
      masks: kept.map((i) => masked(objects.masks[i], objects, { points, pixels })),
    },
  };
}

/** Mirrors left to right. */
function mirrored({ image, objects }: ImageWithObjects): ImageWithObjects {
  const { width, height, boxes, classes, masks } = objects;
  const points = (coordinate: number, i: number) => (i % 2 === 0 ? width - coordinate : coordinate);
  return {
    image: flipped(image),
    objects: {
      width,
      height,
      // Left and right are exchanged.
      boxes: boxes.map((side, i) => (i % 2 === 0 ? width - boxes[i % 4 === 0 ? i + 2 : i - 2] : side)),
      classes,
      masks: masks.map((mask) => masked(mask, objects, { points, pixels: flipped })),
    },
  };
}

/** A mask whose points, or whose pixels if it has run lengths, are changed. */
function masked(
  mask: CocoSegmentation,
  { width, height }: { readonly width: number; readonly height: number },
  change: {
    readonly points: (coordinate: number, i: number) => number;
    readonly pixels: (planes: Planes) => Planes;
  },
): CocoSegmentation {
  if (!('counts' in mask)) return mask.map((polygon) => polygon.map(change.points));
  const data = decodeRle(segmentationRle(mask, { width, height }));
  const changed = change.pixels({ channels: 1, height, width, data });
  return compressRle(encodeRle(changed.data, changed.height, changed.width));
}
