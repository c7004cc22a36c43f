import { SameConv } from '../../nn/convolutional.js';
import type { InitContext } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { mul, relu, reshape, sum } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor, upload } from '../../torch/tensor.js';
import { TransposedConv } from './convolution.js';
import { indexSelect, lossOfLogits } from './operators.js';

/** Side of the regions that the mask head reads. */
export const MASK_REGION_SIZE = 14;
/** Side of the masks that it predicts. */
export const MASK_SIZE = 28;

/**
 * The head that predicts masks (He et al. 2017): four 3x3 convolutions, a transposed one that doubles height and width, and a 1x1
 * convolution, with ReLU between them.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * new MaskHead({ channels: 8, classes: 3 }, context).forward(zeros([5, 8, 14, 14])).shape; // [5, 3, 28, 28]
 */
export class MaskHead extends Module {
  readonly convs: readonly SameConv[];
  readonly upsample: TransposedConv;
  readonly masks: SameConv;

  constructor(sizes: { readonly channels: number; readonly classes: number }, context: InitContext) {
    super();
    const { channels, classes } = sizes;
    this.convs = Array.from(
      { length: 4 },
      () => new SameConv(channels, channels, { kernel: 3, init: 'he' }, context),
    );
    this.upsample = new TransposedConv(channels, context);
    this.masks = new SameConv(channels, classes, { kernel: 1, init: { deviation: 0.001 } }, context);
  }

  /** Regions [N, channels, 14, 14] -> logits of each class, [N, classes, 28, 28]. */
  forward(regions: Tensor): Tensor {
    const hidden = this.convs.reduce((x, conv) => conv.activated(x), regions);
    return this.masks.forward(scope(() => relu(this.upsample.forward(hidden))));
  }
}

/** The logits of one class for each region: [N, K, 28, 28] -> [N, 28, 28]. */
export function ownMasks(logits: Tensor, classes: ArrayLike<number>): Tensor {
  const names = logits.shape[1];
  const rows = Int32Array.from(classes, (name, i) => i * names + name);
  const indices = upload(fromArray(rows, [rows.length]), logits.device);
  return indexSelect(reshape(logits, [-1, MASK_SIZE, MASK_SIZE]), 0, indices);
}

const MEAN = 1;

/**
 * The loss of the mask head: mean binary cross-entropy of each positive region's own class. Without regions it is 0, with gradients
 * of 0.
 * @param logits [P, K, 28, 28]
 * @param targets P x 28 x 28, of zeros and ones
 */
export function maskLoss(logits: Tensor, classes: ArrayLike<number>, targets: Uint8Array): Tensor {
  if (classes.length === 0) return mul(sum(logits), 0);
  const own = ownMasks(logits, classes);
  const expected = upload(fromArray(Float32Array.from(targets), own.shape), logits.device);
  return lossOfLogits(own, expected, null, null, MEAN);
}
