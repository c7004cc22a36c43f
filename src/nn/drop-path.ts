import type { RandomKey } from '../base/random.js';
import { bernoulli, mul } from '../torch/ops.js';
import type { Generator } from '../torch/random.js';
import { type Tensor, upload } from '../torch/tensor.js';

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
