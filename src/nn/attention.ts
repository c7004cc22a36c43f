import { autocast } from '../torch/autograd.js';
import { attention, reshape, transpose, unbind } from '../torch/ops.js';
import type { Tensor } from '../torch/tensor.js';
import type { InitContext } from './init.js';
import { Linear } from './layers.js';
import { Module } from './module.js';

/** Multi-head self-attention: [B, N, D] -> [B, N, D]. The rows of `qkv` are query, key, value, in thirds. */
export class Attention extends Module {
  readonly qkv: Linear;
  readonly proj: Linear;
  readonly #heads: number;

  constructor(width: number, heads: number, qkvBias: boolean, context: InitContext) {
    super();
    this.qkv = new Linear(width, 3 * width, context, { bias: qkvBias });
    this.proj = new Linear(width, width, context);
    this.#heads = heads;
  }

  forward(x: Tensor): Tensor {
    const [batch, tokens, width] = x.shape;
    const heads = this.#heads;
    const qkv = reshape(this.qkv.forward(x), [batch, tokens, 3, heads, width / heads]);
    const [query, key, value] = unbind(qkv, 2).map((part) => transpose(part, 1, 2));
    const mixed = transpose(attend(query, key, value), 1, 2);
    return this.proj.forward(reshape(mixed, [batch, tokens, width]));
  }
}

/**
 * On the CPU, bfloat16 attention over a few dozen tokens is slower than float32: its backward pass prepares oneDNN
 * products one by one.
 */
function attend(query: Tensor, key: Tensor, value: Tensor): Tensor {
  const isSlow = query.dtype === 'BF16' && query.device === 'cpu';
  return isSlow ? autocast('cpu', 'F32', () => attention(query, key, value)) : attention(query, key, value);
}
