import { noGrad } from '../../torch/autograd.js';
import { equal, ones, reshape, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { boxIou } from './boxes.js';
import {
  and,
  anyAlong,
  argsort,
  greater,
  greaterOrEqual,
  indexSelect,
  isSame,
  nonzero,
  not,
  upperTriangle,
} from './operators.js';

/**
 * Greedy non-maximum suppression: drops boxes whose IoU with a better one that is kept is above `threshold`. Equal to torchvision's,
 * in float32, also for equal scores.
 *
 * @param boxes N x 4: left, top, right, bottom
 * @param scores N
 * @param classes boxes of different classes do not suppress each other. Default: all are of one class
 * @returns the indices of the boxes that are kept, highest score first
 *
 * @example
 * const boxes = Float32Array.of(0, 0, 4, 4, 0, 0, 4, 3, 5, 5, 9, 9);
 * nms(boxes, Float32Array.of(0.5, 0.9, 0.7), 0.5); // 1, 2
 */
export function nms(
  boxes: Float32Array,
  scores: Float32Array,
  threshold: number,
  classes?: ArrayLike<number>,
): Int32Array {
  const order = Int32Array.from(scores.keys()).sort((a, b) => scores[b] - scores[a]);
  const groups = new Map<number, number[]>();
  const isKept = new Uint8Array(order.length);
  const areas = areasOf(boxes);
  for (const box of order) {
    const group = groups.get(classes?.[box] ?? 0) ?? [];
    if (group.length === 0) groups.set(classes?.[box] ?? 0, group);
    if (group.some((better) => iou(boxes, areas, better, box) > threshold)) continue;
    group.push(box);
    isKept[box] = 1;
  }
  return order.filter((box) => isKept[box]);
}

const { fround } = Math;

function areasOf(boxes: Float32Array): Float32Array {
  const width = (at: number) => fround(boxes[at + 2] - boxes[at]);
  return Float32Array.from({ length: boxes.length / 4 }, (_, i) => {
    return width(4 * i) * fround(boxes[4 * i + 3] - boxes[4 * i + 1]);
  });
}

/** Each operation rounds to float32, as in torchvision. */
function iou(boxes: Float32Array, areas: Float32Array, a: number, b: number): number {
  const [i, j] = [4 * a, 4 * b];
  const width = fround(Math.min(boxes[i + 2], boxes[j + 2]) - Math.max(boxes[i], boxes[j]));
  const height = fround(Math.min(boxes[i + 3], boxes[j + 3]) - Math.max(boxes[i + 1], boxes[j + 1]));
  if (!(width > 0 && height > 0)) return 0;
  const overlap = fround(width * height);
  return fround(overlap / fround(fround(areas[a] + areas[b]) - overlap));
}

/**
 * `nms` on the device of the boxes, without downloading them. A box is kept unless a better kept one suppresses it; this rule is
 * applied to all boxes at once until nothing changes, which gives exactly the greedy result. Memory: N x N.
 *
 * @param boxes [N, 4]
 * @param scores [N]
 * @param classes I64 [N]; boxes of different classes do not suppress each other
 * @returns I64 [K], the indices of the boxes that are kept, highest score first
 *
 * @example
 * const boxes = fromArray(Float32Array.of(0, 0, 4, 4, 0, 0, 4, 3, 5, 5, 9, 9), [3, 4]);
 * nmsOnDevice(boxes, fromArray(Float32Array.of(0.5, 0.9, 0.7), [3]), 0.5).shape; // [2]
 */
export function nmsOnDevice(boxes: Tensor, scores: Tensor, threshold: number, classes?: Tensor): Tensor {
  return noGrad(() =>
    scope(() => {
      const order = argsort(scores, true, 0, true);
      const sorted = indexSelect(boxes, 0, order);
      const overlaps = exceeds(boxIou(sorted, sorted), threshold);
      const better = upperTriangle(sameClass(overlaps, classes && indexSelect(classes, 0, order)), 1);
      return indexSelect(order, 0, reshape(nonzero(fixedPoint(better)), [-1]));
    }),
  );
}

/** @param better BOOL [N, N]: whether box i, if it is kept, suppresses box j. Only i < j. */
function fixedPoint(better: Tensor): Tensor {
  const count = better.shape[0];
  let kept = to(ones([count], 'F32', better.device), { dtype: 'BOOL' });
  for (let round = 0; round < count; round++) {
    const next = not(anyAlong(and(reshape(kept, [-1, 1]), better), 0));
    const isDone = isSame(next, kept);
    kept = next;
    if (isDone) break;
  }
  return kept;
}

function sameClass(overlaps: Tensor, classes: Tensor | undefined): Tensor {
  if (classes === undefined) return overlaps;
  return and(overlaps, equal(reshape(classes, [-1, 1]), reshape(classes, [1, -1])));
}

/** Whether float32 values are above a threshold that float32 may be unable to represent. */
function exceeds(values: Tensor, threshold: number): Tensor {
  const rounded = Math.fround(threshold);
  return rounded > threshold ? greaterOrEqual(values, rounded) : greater(values, rounded);
}
