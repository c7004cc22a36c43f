import { gelu, layerNorm, linear, reshape } from '../torch/ops.js';
import type { Tensor } from '../torch/tensor.js';
import { fanInParameter, type InitContext, normalParameter, oneParameter, zeroParameter } from './init.js';
import { Module } from './module.js';

export interface LinearOptions {
  /** Default true. */
  readonly bias?: boolean;
  /** `normal`: weights N(0, 0.02^2), bias 0. `fan-in`: both U(-1/sqrt(in), 1/sqrt(in)), PyTorch's default. Default `normal`. */
  readonly init?: 'normal' | 'fan-in';
}

/**
 * x W^T + b: [..., in] -> [..., out].
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * new Linear(16, 8, context).forward(zeros([2, 16])).shape; // [2, 8]
 */
export class Linear extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor | null;

  constructor(inputs: number, outputs: number, context: InitContext, options: LinearOptions = {}) {
    super();
    const { bias = true, init = 'normal' } = options;
    const isNormal = init === 'normal';
    const fanIn = (shape: readonly number[]) => fanInParameter(shape, inputs, context);
    const shape = [outputs, inputs];
    this.weight = isNormal ? normalParameter(shape, context) : fanIn(shape);
    this.bias = null;
    if (bias) this.bias = isNormal ? zeroParameter([outputs], context) : fanIn([outputs]);
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
}

/**
 * Some tokens of each image as the rows of one matrix: [B, N, D] -> [1, B N, D]. If they are not contiguous, libtorch multiplies
 * one matrix for each image, with another order of sums, but only if the weight is frozen. As one matrix, a frozen layer
 * computes the same bits as a trained one.
 */
export function asOneMatrix(x: Tensor): Tensor {
  const [batch, tokens, width] = x.shape;
  return reshape(x, [1, batch * tokens, width]);
}

/**
 * Normalises the last dimension to mean 0 and variance 1, then scales and shifts.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * new LayerNorm(16, 1e-6, context).forward(zeros([2, 16])).shape; // [2, 16]
 */
export class LayerNorm extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;
  readonly #eps: number;

  constructor(width: number, eps: number, context: InitContext) {
    super();
    this.weight = oneParameter([width], context);
    this.bias = zeroParameter([width], context);
    this.#eps = eps;
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight, this.bias, this.#eps);
  }
}

/**
 * Linear, GELU (erf), Linear: [..., width] -> [..., width].
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * new Mlp(16, 64, context).forward(zeros([2, 16])).shape; // [2, 16]
 */
export class Mlp extends Module {
  readonly fc1: Linear;
  readonly fc2: Linear;

  constructor(width: number, hidden: number, context: InitContext) {
    super();
    this.fc1 = new Linear(width, hidden, context);
    this.fc2 = new Linear(hidden, width, context);
  }

  forward(x: Tensor): Tensor {
    return this.fc2.forward(gelu(this.fc1.forward(x)));
  }
}
