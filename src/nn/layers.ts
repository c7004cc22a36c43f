import { InputError } from '../base/errors.js';
import type { RandomKey } from '../base/random.js';
import { autocast } from '../torch/autograd.js';
import {
  attention,
  bernoulli,
  gelu,
  layerNorm,
  linear,
  mul,
  reshape,
  rmsNorm,
  slice,
  transpose,
  unbind,
} from '../torch/ops.js';
import type { Generator } from '../torch/random.js';
import { type Tensor, upload } from '../torch/tensor.js';
import {
  constantParameter,
  fanInParameter,
  type InitContext,
  normalParameter,
  oneParameter,
  zeroParameter,
} from './init.js';
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
 * Divides the last dimension by its root mean square, then scales (Zhang and Sennrich 2019).
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * new RmsNorm(16, 1e-6, context).forward(zeros([2, 16])).shape; // [2, 16]
 */
export class RmsNorm extends Module {
  readonly weight: Tensor;
  readonly #eps: number;

  constructor(width: number, eps: number, context: InitContext) {
    super();
    this.weight = oneParameter([width], context);
    this.#eps = eps;
  }

  forward(x: Tensor): Tensor {
    return rmsNorm(x, this.weight, this.#eps);
  }
}

export type Norm = LayerNorm | RmsNorm;

export interface AttentionOptions {
  /** Makes the norms of queries and keys, over the width of a head (Henry et al. 2020). Default: no norms. */
  readonly qkNorm?: (width: number) => Norm;
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

/**
 * Multi-head self-attention: [B, N, D] -> [B, N, D]. The rows of `qkv` are query, key and value, a third each.
 * @throws InputError if `heads` does not divide `width`
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * new Attention(16, 2, true, context).forward(zeros([1, 5, 16])).shape; // [1, 5, 16]
 */
export class Attention extends Module {
  readonly qkv: Linear;
  readonly q_norm: Norm | null;
  readonly k_norm: Norm | null;
  readonly proj: Linear;
  readonly #heads: number;

  constructor(
    width: number,
    heads: number,
    qkvBias: boolean,
    context: InitContext,
    { qkNorm }: AttentionOptions = {},
  ) {
    super();
    if (!(width % heads === 0)) throw new InputError(`heads ${heads} does not divide width ${width}`);
    this.qkv = new Linear(width, 3 * width, context, { bias: qkvBias });
    this.q_norm = qkNorm?.(width / heads) ?? null;
    this.k_norm = qkNorm?.(width / heads) ?? null;
    this.proj = new Linear(width, width, context);
    this.#heads = heads;
  }

  /** With `queries`, computes the output of only the first `queries` tokens, which still attend to all tokens. */
  forward(x: Tensor, queries = x.shape[1]): Tensor {
    const [batch, tokens, width] = x.shape;
    const [query, key, value] =
      queries === tokens ? this.#split(this.qkv.forward(x), 3) : this.#partly(x, queries);
    const normed = [this.q_norm?.forward(query) ?? query, this.k_norm?.forward(key) ?? key] as const;
    const mixed = transpose(attend(...normed, value), 1, 2);
    return this.proj.forward(reshape(mixed, [batch, queries, width]));
  }

  #partly(x: Tensor, queries: number): Tensor[] {
    const [batch, , width] = x.shape;
    const { weight, bias } = this.qkv;
    const project = (y: Tensor, from: number, to: number) =>
      linear(y, slice(weight, 0, from, to), bias && slice(bias, 0, from, to));
    const first = asOneMatrix(slice(x, 1, 0, queries));
    const query = this.#split(reshape(project(first, 0, width), [batch, queries, width]), 1);
    return [...query, ...this.#split(project(x, width, 3 * width), 2)];
  }

  /** [B, N, parts x D] -> parts of [B, heads, N, D / heads]. */
  #split(x: Tensor, parts: number): Tensor[] {
    const [batch, tokens, width] = x.shape;
    const heads = this.#heads;
    const split = reshape(x, [batch, tokens, parts, heads, width / parts / heads]);
    return unbind(split, 2).map((part) => transpose(part, 1, 2));
  }
}

/**
 * Uses float32 on the CPU: bfloat16 attention over a few dozen tokens is slower there, because its backward pass prepares
 * oneDNN products one by one.
 */
function attend(query: Tensor, key: Tensor, value: Tensor): Tensor {
  const isSlow = query.dtype === 'BF16' && query.device === 'cpu';
  return isSlow ? autocast('cpu', 'F32', () => attention(query, key, value)) : attention(query, key, value);
}

/**
 * Stochastic depth: drops the branch `x` [B, ...] of each sample with probability `rate`, and scales the kept branches
 * by 1/(1-rate) (Huang et al. 2016, as in timm 0.3.2). Half-precision branches are returned in float32.
 */
export function dropPath(x: Tensor, rate: number, generator: Generator): Tensor {
  const keep = 1 - rate;
  // In float32: 1/keep rounded to bfloat16 would shift the mean by up to 0.4 %. Drawn on the CPU, then moved, so that
  // every device gets the same masks.
  const dtype = x.dtype === 'F64' ? 'F64' : 'F32';
  const mask = bernoulli([x.shape[0], ...x.shape.slice(1).map(() => 1)], keep, generator, dtype);
  const scaled = mul(mask, 1 / keep);
  return mul(x, upload(scaled, x.device));
}

/**
 * The drop path of one block's branches in one forward pass. The masks are drawn one after another and depend only on the
 * pass's key, which includes the block's position, never on earlier draws. In evaluation, or with rate 0, branches are unchanged.
 * @returns the function to apply to each branch, in order
 *
 * @example
 * const drop = dropPathOf(0.1, { training: true, generator: new Generator(), key: [0, 'PT', 7] });
 * const y = add(ones([4, 2]), drop(ones([4, 2])));
 */
export function dropPathOf(
  rate: number,
  pass: { readonly training: boolean; readonly generator: Generator; readonly key: RandomKey },
): (branch: Tensor) => Tensor {
  if (!pass.training || rate === 0) return (branch) => branch;
  const generator = pass.generator.seed(pass.key);
  return (branch) => dropPath(branch, rate, generator);
}

/** LayerScale: a trained factor for each channel of the last dimension (Touvron et al. 2021). */
export class LayerScale extends Module {
  readonly gamma: Tensor;

  constructor(width: number, value: number, context: InitContext) {
    super();
    this.gamma = constantParameter([width], value, context);
  }

  forward(x: Tensor): Tensor {
    return mul(x, this.gamma);
  }
}
