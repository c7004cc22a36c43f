import { mean, to, unbind } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

/** The loss of bfloat16 outputs is computed in float32. */
export function widened(output: Tensor): Tensor {
  return output.dtype === 'BF16' ? to(output, { dtype: 'F32' }) : output;
}

/**
 * The heads of a model's output: the class head first, the distillation head last. [B, classes] has one head;
 * [B, 2, classes], of a distilled model (DeiT), has two.
 * @returns logits [B, classes] of each
 */
export function headsOf(logits: Tensor): Tensor[] {
  return logits.shape.length === 3 ? unbind(logits, 1) : [logits];
}

/** What a model is judged by: the mean of its heads' logits, [B, classes]. */
export function judged(logits: Tensor): Tensor {
  return logits.shape.length === 3 ? mean(logits, 1) : logits;
}
