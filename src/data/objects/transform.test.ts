import fc from 'fast-check';
import { expect, test } from 'vitest';
import { randomStream } from '../../base/random.js';
import { polygonsRle } from '../coco/polygon.js';
import { decodeRle, rleArea, rleBox } from '../coco/rle.js';
import { compressRle, segmentationRle } from '../coco/segmentation.js';
import type { CocoSegmentation, ObjectsInImage } from '../objects.js';
import {
  augmentedObjects,
  type ImageWithObjects,
  learntObjects,
  type ObjectAugmentation,
  resizedObjects,
} from './transform.js';

const NONE: ObjectAugmentation = { long: 1000, short: [1], flip: 0, crop: null, largest: null };

/** A rectangle's polygon. */
const rectangle = (x: number, y: number, w: number, h: number) => [[x, y, x + w, y, x + w, y + h, x, y + h]];

interface Rectangle {
  readonly x: number;
  readonly y: number;
  readonly w: number;
  readonly h: number;
}

/** An image whose pixels are 255 in one rectangle, which is its object, as a polygon or as run lengths. */
function sceneOf(size: { width: number; height: number }, at: Rectangle, isRle: boolean): ImageWithObjects {
  const { width, height } = size;
  const polygon = rectangle(at.x, at.y, at.w, at.h);
  const rle = polygonsRle(polygon, height, width);
  const mask = decodeRle(rle);
  return {
    image: { channels: 1, height, width, data: mask.map((bit) => 255 * bit) },
    objects: {
      width,
      height,
      boxes: Float32Array.of(at.x, at.y, at.x + at.w, at.y + at.h),
      classes: [0],
      masks: [isRle ? compressRle(rle) : polygon],
    },
  };
}

const maskOf = (mask: CocoSegmentation, objects: ObjectsInImage) => decodeRle(segmentationRle(mask, objects));

const scenes = fc
  .record({ width: fc.integer({ min: 8, max: 40 }), height: fc.integer({ min: 8, max: 40 }) })
  .chain((size) =>
    fc.record({
      size: fc.constant(size),
      at: fc.record({ x: fc.nat(size.width - 4), y: fc.nat(size.height - 4) }).chain(({ x, y }) =>
        fc.record({
          x: fc.constant(x),
          y: fc.constant(y),
          w: fc.integer({ min: 2, max: size.width - x }),
          h: fc.integer({ min: 2, max: size.height - y }),
        }),
      ),
      isRle: fc.boolean(),
      seed: fc.nat(1000),
    }),
  );

test('after flips and crops the mask still covers the pixels of the object, and the box encloses it', () => {
  fc.assert(
    fc.property(scenes, fc.integer({ min: 4, max: 40 }), ({ size, at, isRle, seed }, largest) => {
      const short = [Math.min(size.width, size.height)]; // the image is not resized
      const options = { ...NONE, short, flip: 0.5, largest };
      const { image, objects } = augmentedObjects(sceneOf(size, at, isRle), randomStream([seed]), options);
      expect([image.width, image.height]).toEqual([objects.width, objects.height]);
      const pixels = image.data.map((value) => Number(value > 0));
      if (objects.masks.length === 0) {
        expect(pixels.every((value) => value === 0)).toBe(true);
        return;
      }
      expect([...maskOf(objects.masks[0], objects)]).toEqual([...pixels]);
      const [x, y, w, h] = rleBox(segmentationRle(objects.masks[0], objects));
      expect([...objects.boxes]).toEqual([x, y, x + w, y + h]);
    }),
    { numRuns: 200 },
  );
});

test('the same stream draws the same transform, another one another', () => {
  const scene = sceneOf({ width: 40, height: 30 }, { x: 4, y: 5, w: 9, h: 7 }, false);
  const options = {
    ...NONE,
    short: [20, 24, 28],
    flip: 0.5,
    crop: { prob: 0.5, short: [24, 32], size: [12, 20] as const },
  };
  const drawn = (seed: number) => augmentedObjects(scene, randomStream([seed]), options);
  expect(drawn(3)).toEqual(drawn(3));
  const sizes = new Set(Array.from({ length: 20 }, (_, seed) => drawn(seed).image.height));
  expect(sizes.size).toBeGreaterThan(2);
});

test('a resize scales boxes and polygons; run lengths take the nearest pixel', () => {
  const at = { x: 2, y: 4, w: 8, h: 6 };
  for (const isRle of [false, true]) {
    const { objects } = resizedObjects(sceneOf({ width: 20, height: 16 }, at, isRle), {
      width: 40,
      height: 32,
    });
    expect([...objects.boxes]).toEqual([4, 8, 20, 20]);
    expect(rleArea(segmentationRle(objects.masks[0], objects))).toBe(16 * 12);
  }
});

test('crowds, objects outside the image and those below a pixel are not learned; boxes are clipped', () => {
  const object = (
    id: number,
    box: readonly [number, number, number, number],
    more: { isCrowd?: boolean; area?: number } = {},
  ) => ({
    id,
    label: id,
    box,
    area: box[2] * box[3],
    isCrowd: false,
    segmentation: rectangle(...box),
    ...more,
  });
  const { boxes, classes } = learntObjects({
    id: 1,
    width: 20,
    height: 10,
    objects: [
      object(0, [2, 2, 4, 4]),
      object(1, [2, 2, 4, 4], { isCrowd: true }),
      object(2, [25, 2, 4, 4]),
      object(3, [2, 2, 0.5, 4]),
      object(4, [-3, 6, 8, 9]),
      object(5, [2, 2, 4, 4], { area: 0 }),
    ],
  });
  expect(classes).toEqual([0, 4]);
  expect([...boxes]).toEqual([2, 2, 6, 6, 0, 6, 5, 10]);
});
