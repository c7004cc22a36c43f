import { bernoulli, mul, to } from '../torch/ops.js';
import type { Generator } from '../torch/random.js';
import type { Tensor } from '../torch/tensor.js';

/**
 * Stochastic depth: drops the branch `x` [B, ...] of each sample with probability `rate`, and scales the others
 * by 1/(1-rate) (Huang et al. 2016, as in timm 0.3.2). Half-precision branches come back in float32.
 */
export function dropPath(x: Tensor, rate: number, generator: Generator): Tensor {
  const keep = 1 - rate;
  // In float32: 1/keep rounded to bfloat16 would shift the mean by up to 0.4 %. Drawn on the CPU, then moved: the
  // same masks on every device.
  const dtype = x.dtype === 'F64' ? 'F64' : 'F32';
  const mask = bernoulli([x.shape[0], ...x.shape.slice(1).map(() => 1)], keep, generator, dtype);
  const scaled = mul(mask, 1 / keep);
  return mul(x, x.device === 'cpu' ? scaled : to(scaled, { device: x.device }));
}
