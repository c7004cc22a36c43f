import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { crossEntropy, divide, mul, relu, reshape, sub, sum } from '../../torch/ops.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { type BoxWeights, encodeBoxes } from './boxes.js';
import { HeadLinear } from './convolution.js';
import { absolute, indexSelect } from './operators.js';

/** Scale of the offsets that the box head predicts. */
export const BOX_WEIGHTS: BoxWeights = [10, 10, 5, 5];
/** Side of the regions that the box head reads. */
export const BOX_SIZE = 7;

/** What the box head says of N regions, with K classes. */
export interface BoxOutput {
  /** Logits, [N, K + 1]; the last one is of the background. */
  readonly logits: Tensor;
  /** Offsets to the object, for each class, [N, 4 K]. */
  readonly offsets: Tensor;
}

/**
 * The head that classifies regions and corrects their boxes (Ren et al. 2015): two layers with ReLU, then the classes and the offsets of
 * each class.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const head = new BoxHead({ channels: 8, hidden: 16, classes: 3 }, context);
 * head.forward(zeros([5, 8, 7, 7])).offsets.shape; // [5, 12]
 */
export class BoxHead extends Module {
  readonly fc1: HeadLinear;
  readonly fc2: HeadLinear;
  readonly classes: HeadLinear;
  readonly offsets: HeadLinear;

  /** @param sizes `hidden`: width of the layers, default 1024 */
  constructor(
    sizes: { readonly channels: number; readonly hidden?: number; readonly classes: number },
    context: InitContext,
  ) {
    super();
    const { channels, hidden = 1024, classes } = sizes;
    this.fc1 = new HeadLinear(channels * BOX_SIZE ** 2, hidden, 'xavier', context);
    this.fc2 = new HeadLinear(hidden, hidden, 'xavier', context);
    this.classes = new HeadLinear(hidden, classes + 1, { deviation: 0.01 }, context);
    this.offsets = new HeadLinear(hidden, 4 * classes, { deviation: 0.001 }, context);
  }

  /** @param regions [N, channels, 7, 7] */
  forward(regions: Tensor): BoxOutput {
    const [count, channels] = regions.shape;
    const flat = reshape(regions, [count, channels * BOX_SIZE ** 2]);
    const hidden = relu(this.fc2.forward(relu(this.fc1.forward(flat))));
    return { logits: this.classes.forward(hidden), offsets: this.offsets.forward(hidden) };
  }
}

/** The positive regions of a batch: of each, its row among all regions, its class, its box, and the truth's box. */
export interface PositiveRegions {
  readonly rows: Int32Array;
  readonly classes: Int32Array;
  /** [P, 4]. */
  readonly boxes: Tensor;
  /** [P, 4]. */
  readonly truths: Tensor;
}

/**
 * The losses of the box head: mean cross-entropy over all regions, and L1 of the offsets of the positive ones to their own class,
 * divided by the number of all regions.
 */
export function boxLosses(
  { logits, offsets }: BoxOutput,
  { rows, classes, boxes, truths }: PositiveRegions,
): { readonly classes: Tensor; readonly offsets: Tensor } {
  const [count, names] = logits.shape;
  const labels = new BigInt64Array(count).fill(BigInt(names - 1));
  for (const [i, row] of rows.entries()) labels[row] = BigInt(classes[i]);
  const place = rows.map((row, i) => row * (names - 1) + classes[i]);
  const { device } = logits;
  const own = indexSelect(reshape(offsets, [-1, 4]), 0, upload(fromArray(place, [place.length]), device));
  const difference = sub(own, encodeBoxes(truths, boxes, BOX_WEIGHTS));
  return {
    // The mean over no regions would be NaN.
    classes:
      count === 0 ? mul(sum(logits), 0) : crossEntropy(logits, upload(fromArray(labels, [count]), device)),
    offsets: divide(sum(absolute(difference)), Math.max(count, 1)),
  };
}
