import { mean, to, unbind } from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';

/** Converts bfloat16 outputs to float32, in which the loss is computed. */
export function widened(output: Tensor): Tensor {
  return output.dtype === 'BF16' ? to(output, { dtype: 'F32' }) : output;
}

/**
 * The heads of a model's output: the class head first, the distillation head last. An output [B, classes] has one head;
 * an output [B, 2, classes], of a distilled model (DeiT), has two.
 * @returns the logits of each head, [B, classes]
 */
export function headsOf(logits: Tensor): Tensor[] {
  return logits.shape.length === 3 ? unbind(logits, 1) : [logits];
}

/** The logits that are evaluated: the mean over the model's heads, [B, classes]. */
export function logitsToScore(logits: Tensor): Tensor {
  return logits.shape.length === 3 ? mean(logits, 1) : logits;
}
