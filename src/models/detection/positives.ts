import type { ObjectsInImage } from '../../data/objects.js';
import { MASK_SIZE } from './mask-head.js';
import { maskTarget } from './mask-target.js';
import type { SampledRegions } from './regions.js';
import type { Regions } from './roi-align.js';

/** The regions of a batch that stand for objects. */
export interface Positives extends Regions {
  /** Their rows among the sampled regions of the batch. */
  readonly rows: Int32Array;
  readonly classes: Int32Array;
  readonly truthBoxes: Float32Array;
  /** P x 28 x 28. */
  readonly masks: Uint8Array;
}

/** The positive regions of the samples of each image. */
export function positivesOf(
  images: readonly ObjectsInImage[],
  sampled: readonly SampledRegions[],
): Positives {
  let first = 0;
  const all = sampled.flatMap(({ boxes, truths }, image) => {
    const { width, height, boxes: real, classes, masks } = images[image];
    const own = Array.from(truths, (truth, i) => {
      const box = boxes.subarray(4 * i, 4 * i + 4);
      return {
        row: first + i,
        image,
        box,
        class: classes[truth],
        truthBox: real.subarray(4 * truth, 4 * truth + 4),
        mask: maskTarget(masks[truth], { box, size: MASK_SIZE, image: { width, height } }),
      };
    });
    first += boxes.length / 4;
    return own;
  });
  const masks = new Uint8Array(all.length * MASK_SIZE ** 2);
  for (const [i, { mask }] of all.entries()) masks.set(mask, i * MASK_SIZE ** 2);
  return {
    rows: Int32Array.from(all, ({ row }) => row),
    images: all.map(({ image }) => image),
    classes: Int32Array.from(all, (each) => each.class),
    boxes: joinedBoxes(all.map(({ box }) => box)),
    truthBoxes: joinedBoxes(all.map(({ truthBox }) => truthBox)),
    masks,
  };
}

/** The boxes of several lists as one. */
export function joinedBoxes(boxes: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(boxes.reduce((sum, { length }) => sum + length, 0));
  let next = 0;
  for (const each of boxes) {
    all.set(each, next);
    next += each.length;
  }
  return all;
}
