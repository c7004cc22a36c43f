import { InputError } from '../../base/errors.js';
import { type InitContext, oneParameter, zeroParameter } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { gelu } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { TransposedConv } from './convolution.js';
import { groupNorm, maxPool2d } from './operators.js';

/** Groups of the normalisation. */
const GROUPS = 32;
const EPS = 1e-5;

/**
 * The maps of strides 4, 8, 16 and 32 that detectors need, from four maps of a Vision Transformer with stride 16, as in the ViT
 * baselines of ViT-Adapter: each map is normalised (group norm); the first is enlarged four times by two transposed convolutions, with a norm
 * and GELU between them, the second twice by one; the third stays; the fourth is halved by max-pooling.
 * @throws InputError if `width` is not a multiple of 32
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const taps = [0, 1, 2, 3].map(() => zeros([1, 64, 4, 4]));
 * new VitPyramid(64, context).forward(taps).map(({ shape }) => shape[2]); // 16, 8, 4, 2
 */
export class VitPyramid extends Module {
  readonly norms: readonly GroupNorm[];
  readonly up4: readonly [TransposedConv, GroupNorm, TransposedConv];
  readonly up2: TransposedConv;

  constructor(width: number, context: InitContext) {
    super();
    if (width % GROUPS !== 0) throw new InputError(`width ${width} is not a multiple of ${GROUPS}`);
    this.norms = [0, 1, 2, 3].map(() => new GroupNorm(width, context));
    this.up4 = [
      new TransposedConv(width, context),
      new GroupNorm(width, context),
      new TransposedConv(width, context),
    ];
    this.up2 = new TransposedConv(width, context);
  }

  /** Four maps [B, width, H, W], the shallowest first. H and W are even. */
  forward(taps: readonly Tensor[]): Tensor[] {
    const [first, second, third, fourth] = taps.map((tap, i) => this.norms[i].forward(tap));
    const [enlarge, norm, again] = this.up4;
    return [
      again.forward(gelu(norm.forward(enlarge.forward(first)))),
      this.up2.forward(second),
      third,
      maxPool2d(fourth, [2, 2], [2, 2]),
    ];
  }
}

/** Normalises 32 groups of channels of each image to mean 0 and variance 1, then scales and shifts the channels. */
class GroupNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(channels: number, context: InitContext) {
    super();
    this.weight = oneParameter([channels], context);
    this.bias = zeroParameter([channels], context);
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, GROUPS, this.weight, this.bias, EPS);
  }
}
