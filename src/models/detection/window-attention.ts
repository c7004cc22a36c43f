import type { Attention } from '../../nn/layers.js';
import { attention, pad, permute, reshape, slice, transpose, unbind } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

/** Places of a map of tokens, row by row. */
export interface TokenGrid {
  readonly height: number;
  readonly width: number;
}

/**
 * Attention within windows of `window` x `window` tokens: [B, H W, D] -> [B, H W, D], with the weights of ordinary attention. At the
 * right and the lower side, windows are filled with zeros after the projection to query, key and value, and not masked, as in the
 * baselines of Chen et al. 2023 (arXiv 2205.08534): a token also attends to the zeros.
 *
 * @param heads of the attention
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const layer = new Attention(16, 2, true, context);
 * windowAttention(layer, 2, zeros([1, 15, 16]), { height: 3, width: 5 }, 2).shape; // [1, 15, 16]
 */
export function windowAttention(
  layer: Attention,
  heads: number,
  x: Tensor,
  { height, width }: TokenGrid,
  window: number,
): Tensor {
  const [batch, tokens, channels] = x.shape;
  const [rows, columns] = [Math.ceil(height / window), Math.ceil(width / window)];
  const grid = reshape(layer.qkv.forward(x), [batch, height, width, 3 * channels]);
  const padded = pad(grid, [0, 0, 0, columns * window - width, 0, rows * window - height]);
  const cells = reshape(padded, [batch, rows, window, columns, window, 3, heads, channels / heads]);
  const area = window ** 2;
  const split = reshape(permute(cells, [5, 0, 1, 3, 6, 2, 4, 7]), [3, -1, heads, area, channels / heads]);
  const [projected, keys, value] = unbind(split, 0);
  const query = layer.q_norm?.forward(projected) ?? projected;
  const key = layer.k_norm?.forward(keys) ?? keys;
  const mixed = reshape(transpose(attention(query, key, value), 1, 2), [
    batch,
    rows,
    columns,
    window,
    window,
    channels,
  ]);
  const whole = reshape(permute(mixed, [0, 1, 3, 2, 4, 5]), [
    batch,
    rows * window,
    columns * window,
    channels,
  ]);
  const cut = slice(slice(whole, 1, 0, height), 2, 0, width);
  return layer.proj.forward(reshape(cut, [batch, tokens, channels]));
}
