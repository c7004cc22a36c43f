import { InputError } from '../base/errors.js';
import { autocast } from '../torch/autograd.js';
import { attention, linear, reshape, slice, transpose, unbind } from '../torch/ops.js';
import type { Tensor } from '../torch/tensor.js';
import type { InitContext } from './init.js';
import { asOneMatrix, Linear } from './layers.js';
import { Module } from './module.js';

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
  readonly proj: Linear;
  readonly #heads: number;

  constructor(width: number, heads: number, qkvBias: boolean, context: InitContext) {
    super();
    if (!(width % heads === 0)) throw new InputError(`heads ${heads} does not divide width ${width}`);
    this.qkv = new Linear(width, 3 * width, context, { bias: qkvBias });
    this.proj = new Linear(width, width, context);
    this.#heads = heads;
  }

  /** With `queries`, computes the output of only the first `queries` tokens, which still attend to all tokens. */
  forward(x: Tensor, queries = x.shape[1]): Tensor {
    const [batch, tokens, width] = x.shape;
    const [query, key, value] =
      queries === tokens ? this.#split(this.qkv.forward(x), 3) : this.#partly(x, queries);
    const mixed = transpose(attend(query, key, value), 1, 2);
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
