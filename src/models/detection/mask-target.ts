import { polygonsRle } from '../../data/coco/polygon.js';
import { decodeRle } from '../../data/coco/rle.js';
import { type CocoSegmentation, segmentationRle } from '../../data/coco/segmentation.js';
import { axisWeights } from './roi-weights.js';

/** What the mask head is to predict in a box. */
export interface MaskTargetOptions {
  /** Left, top, right, bottom, in pixels. */
  readonly box: ArrayLike<number>;
  /** Side of the target. */
  readonly size: number;
  /** Of the image that the mask belongs to. */
  readonly image: { readonly width: number; readonly height: number };
}

/**
 * The mask of an object inside a box: size x size zeros and ones, as in detectron2. Polygons are moved into the box and rasterised at
 * that size. Run lengths are averaged by RoIAlign; averages of 0.5 or more become 1.
 *
 * @example
 * const image = { width: 8, height: 8 };
 * maskTarget([[0, 0, 4, 0, 4, 8, 0, 8]], { box: [0, 0, 8, 8], size: 2, image }); // 1, 0, 1, 0
 */
export function maskTarget(segmentation: CocoSegmentation, options: MaskTargetOptions): Uint8Array {
  const { box, size, image } = options;
  if ('counts' in segmentation) return averaged(decodeRle(segmentationRle(segmentation, image)), options);
  const scale = [size / Math.max(box[2] - box[0], LEAST_SIDE), size / Math.max(box[3] - box[1], LEAST_SIDE)];
  const moved = segmentation.map((polygon) =>
    polygon.map((coordinate, i) => (coordinate - box[i % 2]) * scale[i % 2]),
  );
  return decodeRle(polygonsRle(moved, size, size));
}

/** Boxes are treated as at least this wide and high, in pixels. */
const LEAST_SIDE = 0.1;

function averaged(mask: Uint8Array, { box, size, image }: MaskTargetOptions): Uint8Array {
  const [left, top, right, bottom] = [0, 1, 2, 3].map((side) => Math.fround(box[side] - 0.5));
  const xs = axisWeights(left, right, size, image.width);
  const ys = axisWeights(top, bottom, size, image.height);
  const target = new Uint8Array(size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let sum = 0;
      for (let i = 0; i < ys.count[y]; i++) {
        const row = (ys.first[y] + i) * image.width + xs.first[x];
        for (let j = 0; j < xs.count[x]; j++) {
          sum += mask[row + j] * ys.weights[y * ys.most + i] * xs.weights[x * xs.most + j];
        }
      }
      target[y * size + x] = Number(Math.fround(sum) >= 0.5);
    }
  }
  return target;
}
