import { encodeRegion, type Rle } from '../../data/coco/rle.js';
import type { ImageSides } from '../../data/coco/segmentation.js';

const { fround } = Math;

/**
 * Enlarges the mask of a box to the image, as detectron2 does: bilinear at the pixels' centres, 0 outside of the mask; a pixel belongs to
 * the mask from 0.5 on.
 * @param probabilities size x size, row by row
 * @param box left, top, right, bottom, in pixels of the image
 *
 * @example
 * pasteMask(Float32Array.of(1, 1, 1, 1), [0, 0, 2, 2], { width: 4, height: 2 }).counts; // 0, 4, 4
 */
export function pasteMask(probabilities: Float32Array, box: ArrayLike<number>, image: ImageSides): Rle {
  const size = Math.sqrt(probabilities.length);
  const [left, top, right, bottom] = [box[0], box[1], box[2], box[3]];
  const region = {
    left: clamped(Math.floor(left) - 1, image.width),
    right: clamped(Math.ceil(right) + 1, image.width),
    top: clamped(Math.floor(top) - 1, image.height),
    bottom: clamped(Math.ceil(bottom) + 1, image.height),
  };
  const rows = Float32Array.from({ length: image.height }, (_, y) => placeInMask(y, top, bottom, size));
  const at = (x: number, y: number) =>
    x < 0 || y < 0 || x >= size || y >= size ? 0 : probabilities[y * size + x];
  let [column, x0, east] = [-1, 0, 0];
  return encodeRegion(image, region, (x, y) => {
    if (x !== column) {
      const place = placeInMask(x, left, right, size);
      column = x;
      x0 = Math.floor(place);
      east = fround(place - x0);
    }
    const y0 = Math.floor(rows[y]);
    const south = fround(rows[y] - y0);
    const [north, west] = [fround(1 - south), fround(1 - east)];
    const upper = at(x0, y0) * fround(north * west) + at(x0 + 1, y0) * fround(north * east);
    const lower = at(x0, y0 + 1) * fround(south * west) + at(x0 + 1, y0 + 1) * fround(south * east);
    return fround(upper + lower) >= 0.5;
  });
}

/** The centre of a pixel in places of the mask, in float32. */
function placeInMask(pixel: number, start: number, end: number, size: number): number {
  const share = fround(fround(fround(pixel + 0.5) - start) / fround(end - start));
  const inGrid = fround(fround(share * 2) - 1);
  return fround(fround(fround(inGrid + 1) * (size / 2)) - 0.5);
}

const clamped = (value: number, most: number) => Math.min(Math.max(value, 0), most);
