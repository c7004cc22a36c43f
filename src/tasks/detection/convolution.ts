import { fanInParameter, type InitContext, normalParameter, zeroParameter } from '../../nn/init.js';
import { Module } from '../../nn/module.js';
import { conv2d, linear, relu } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { transposedConv2d } from './operators.js';

/** Weights of a detector's layers: N(0, deviation^2), He et al. 2015 for ReLU, or Xavier's uniform. */
export type HeadInit = { readonly deviation: number } | 'he' | 'xavier';

/** A weight [outputs, inputs, ...] as `init` says. */
function headParameter(shape: readonly number[], init: HeadInit, context: InitContext): Tensor {
  const area = shape.slice(2).reduce((product, side) => product * side, 1);
  const [fanOut, fanIn] = [shape[0] * area, shape[1] * area];
  if (init === 'he') return normalParameter(shape, context, Math.sqrt(2 / fanOut));
  if (init === 'xavier') return fanInParameter(shape, (fanIn + fanOut) / 6, context);
  return normalParameter(shape, context, init.deviation);
}

/** A convolution of stride 1 that keeps height and width: [B, inputs, H, W] -> [B, outputs, H, W]. The bias starts at 0. */
export class SameConv extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly #padding: number;

  constructor(
    inputs: number,
    outputs: number,
    options: { readonly kernel: 1 | 3; readonly init: HeadInit },
    context: InitContext,
  ) {
    super();
    const { kernel, init } = options;
    this.weight = headParameter([outputs, inputs, kernel, kernel], init, context);
    this.bias = zeroParameter([outputs], context);
    this.#padding = (kernel - 1) / 2;
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, { padding: this.#padding });
  }

  activated(x: Tensor): Tensor {
    return relu(this.forward(x));
  }
}

/** x W^T + b: [N, inputs] -> [N, outputs]. The bias starts at 0. */
export class HeadLinear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(inputs: number, outputs: number, init: HeadInit, context: InitContext) {
    super();
    this.weight = headParameter([outputs, inputs], init, context);
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
    this.weight = headParameter([channels, channels, 2, 2], 'he', context);
    this.bias = zeroParameter([channels], context);
  }

  forward(x: Tensor): Tensor {
    return transposedConv2d(x, this.weight, this.bias, [2, 2]);
  }
}
