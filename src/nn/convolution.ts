import { requireWhole } from '../base/numbers.js';
import { conv2d } from '../torch/ops.js';
import type { Tensor } from '../torch/tensor.js';
import { heParameter, type InitContext, zeroParameter } from './init.js';
import { Module } from './module.js';

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
