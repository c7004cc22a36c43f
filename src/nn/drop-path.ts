import { bernoulli, mul } from '../torch/ops.js';
import type { Generator } from '../torch/random.js';
import type { Tensor } from '../torch/tensor.js';

/**
 * Stochastic depth: drops the branch `x` [B, ...] of each sample with probability `rate`, and scales the others
 * by 1/(1-rate) (Huang et al. 2016, as in timm 0.3.2).
 */
export function dropPath(x: Tensor, rate: number, generator: Generator): Tensor {
  const keep = 1 - rate;
  const mask = bernoulli([x.shape[0], ...x.shape.slice(1).map(() => 1)], keep, generator, x);
  return mul(x, mul(mask, 1 / keep));
}
