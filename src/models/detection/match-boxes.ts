import { equal, to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { boxIou } from './boxes.js';
import { anyAlong, greaterOrEqual, largestAlong, maximum } from './operators.js';

export interface MatchOptions {
  /** A box is positive from this IoU on. */
  readonly positive: number;
  /** A box is negative below this IoU. Between the two it is ignored. Default: `positive`. */
  readonly negative?: number;
  /** The boxes that overlap a truth most are positive at any IoU; they keep their own best truth. Default false. */
  readonly allowLowQuality?: boolean;
}

/** Which truth each box stands for. */
export interface BoxMatches {
  /** Index of the truth with the highest IoU; 0 if there are no truths. */
  readonly truths: Int32Array;
  /** 1: positive, 0: negative, -1: ignored. */
  readonly labels: Int8Array;
}

/**
 * Assigns truths [M, 4] to boxes [N, 4] by their IoU, with the rules of detectron2 and torchvision.
 *
 * @example
 * const boxes = fromArray(Float32Array.of(0, 0, 4, 4, 8, 8, 9, 9), [2, 4]);
 * matchBoxes(boxes, slice(boxes, 0, 0, 1), { positive: 0.5 }).labels; // 1, 0
 */
export function matchBoxes(boxes: Tensor, truths: Tensor, options: MatchOptions): BoxMatches {
  const count = boxes.shape[0];
  if (truths.shape[0] === 0) return { truths: new Int32Array(count), labels: new Int8Array(count) };
  const { positive, negative = positive, allowLowQuality = false } = options;
  return scope(() => {
    const ious = boxIou(truths, boxes);
    const [highest, best] = largestAlong(ious, 0);
    const asBytes = (flags: Tensor) => to(flags, { dtype: 'I8' });
    const isPositive = asBytes(greaterOrEqual(highest, positive));
    const isAbove = asBytes(greaterOrEqual(highest, negative));
    const isKept = allowLowQuality ? maximum(isPositive, asBytes(isBestOfSome(ious))) : isPositive;
    return {
      truths: integers(to(best, { dtype: 'I32' })),
      labels: labelsOf(bytes(isKept), bytes(isAbove)),
    };
  });
}

/** [N]: whether no other box overlaps some truth more. */
function isBestOfSome(ious: Tensor): Tensor {
  const [highest] = largestAlong(ious, 1, true);
  return anyAlong(equal(ious, highest), 0);
}

function labelsOf(positive: Int8Array, above: Int8Array): Int8Array {
  return positive.map((isPositive, i) => (isPositive ? 1 : above[i] ? -1 : 0));
}

function bytes(tensor: Tensor): Int8Array {
  return new Int8Array(tensor.toData().data.buffer);
}

function integers(tensor: Tensor): Int32Array {
  return new Int32Array(tensor.toData().data.buffer);
}
