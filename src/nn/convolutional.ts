import { requireWhole } from '../base/numbers.js';
import { noGrad } from '../torch/autograd.js';
import { batchNorm, conv2d, increase, ones, relu, zeros } from '../torch/ops.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';
import {
  fanInParameter,
  heParameter,
  type InitContext,
  normalParameter,
  oneParameter,
  zeroParameter,
} from './init.js';
import { buffer, Module, type ModuleBuffer } from './module.js';

export interface Conv2dOptions {
  /** Side of the kernel, in pixels. */
  readonly kernel: number;
  /** Default 1. */
  readonly stride?: number;
  /** Zeros on each side. Default 0. */
  readonly padding?: number;
  /** Default true. */
  readonly bias?: boolean;
  /** Fan of the He initialisation (see `heParameter`). Default `out`. */
  readonly fan?: 'in' | 'out';
}

/**
 * A convolution with a square kernel: [B, inputs, H, W] -> [B, outputs, H', W']. Weights N(0, 2 / fan), bias 0.
 * @throws InputError if a size is not a positive integer (`padding`: 0 or more)
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const halving = new Conv2d(3, 16, { kernel: 3, stride: 2, padding: 1 }, context);
 * halving.forward(zeros([1, 3, 8, 8])).shape; // [1, 16, 4, 4]
 */
export class Conv2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;
  readonly #stride: number;
  readonly #padding: number;

  constructor(inputs: number, outputs: number, options: Conv2dOptions, context: InitContext) {
    super();
    const { kernel, stride = 1, padding = 0, bias = true, fan = 'out' } = options;
    for (const [name, value] of Object.entries({ inputs, outputs, kernel, stride }))
      requireWhole(name, value, 1);
    requireWhole('padding', padding, 0);
    this.weight = heParameter([outputs, inputs, kernel, kernel], fan, context);
    this.bias = bias ? zeroParameter([outputs], context) : null;
    this.#stride = stride;
    this.#padding = padding;
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, { stride: this.#stride, padding: this.#padding });
  }
}

/**
 * Batch normalisation of images (Ioffe and Szegedy 2015), with the parameters, buffers and defaults of
 * torch.nn.BatchNorm2d: [B, C, H, W] -> the same shape.
 *
 * Training uses the statistics of the micro-batch and updates the running ones; evaluation uses the running ones. A frozen
 * layer (`weight` requires no gradient) is always in evaluation mode.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const norm = new BatchNorm2d(16, context);
 * norm.forward(ones([2, 16, 4, 4]), { training: true });
 * norm.running_mean.tensor.toFloat32Array()[0]; // 0.1
 */
export class BatchNorm2d extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly running_mean: ModuleBuffer;
  readonly running_var: ModuleBuffer;
  /** Number of micro-batches that have updated the running statistics. */
  readonly num_batches_tracked: ModuleBuffer;
  readonly #momentum: number;
  readonly #eps: number;

  constructor(
    channels: number,
    context: InitContext,
    options: { readonly momentum?: number; readonly eps?: number } = {},
  ) {
    super();
    const { dtype, device } = context;
    this.weight = oneParameter([channels], context);
    this.bias = zeroParameter([channels], context);
    this.running_mean = buffer(() => zeros([channels], dtype, device));
    this.running_var = buffer(() => ones([channels], dtype, device));
    this.num_batches_tracked = buffer(() => zeros([], 'I64', device));
    this.#momentum = options.momentum ?? 0.1;
    this.#eps = options.eps ?? 1e-5;
  }

  forward(x: Tensor, pass: { readonly training: boolean }): Tensor {
    const training = pass.training && this.weight.requiresGrad;
    if (training) noGrad(() => increase(this.num_batches_tracked.tensor, 1));
    const running = { mean: this.running_mean.tensor, variance: this.running_var.tensor };
    return batchNorm(x, this.weight, this.bias, {
      running,
      training,
      momentum: this.#momentum,
      eps: this.#eps,
    });
  }
}

/** Weights of a layer: N(0, deviation^2), He et al. 2015 for ReLU, or Xavier's uniform. */
export type ConvInit = { readonly deviation: number } | 'he' | 'xavier';

/** A weight [outputs, inputs, ...] as `init` says. */
export function convParameter(shape: readonly number[], init: ConvInit, context: InitContext): Tensor {
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
    options: { readonly kernel: 1 | 3; readonly init: ConvInit },
    context: InitContext,
  ) {
    super();
    const { kernel, init } = options;
    this.weight = convParameter([outputs, inputs, kernel, kernel], init, context);
    this.bias = zeroParameter([outputs], context);
    this.#padding = (kernel - 1) / 2;
  }

  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, { padding: this.#padding });
  }

  /** With ReLU, of which only the output is kept. */
  activated(x: Tensor): Tensor {
    return scope(() => relu(this.forward(x)));
  }
}
