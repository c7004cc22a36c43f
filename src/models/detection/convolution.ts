import { type ConvInit, convParameter } from '../../nn/convolutional.js';
import { type InitContext, zeroParameter } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { linear } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { transposedConv2d } from './operators.js';

/** x W^T + b: [N, inputs] -> [N, outputs]. The bias starts at 0. */
export class HeadLinear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(inputs: number, outputs: number, init: ConvInit, context: InitContext) {
    super();
    this.weight = convParameter([outputs, inputs], init, context);
    this.bias = zeroParameter([outputs], context);
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/** A transposed convolution of 2x2 with stride 2: [B, C, H, W] -> [B, C, 2 H, 2 W]. */
export class TransposedConv extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(channels: number, context: InitContext) {
    super();
    this.weight = convParameter([channels, channels, 2, 2], 'he', context);
    this.bias = zeroParameter([channels], context);
  }

  forward(x: Tensor): Tensor {
    return transposedConv2d(x, this.weight, this.bias, [2, 2]);
  }
}
