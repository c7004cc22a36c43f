import { noGrad } from '../../torch/autograd.js';
import { tensorOperator } from '../../torch/operator.js';
import { divide, full, increase, to, zeros } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { norms, scale } from './foreach.js';

const stack = tensorOperator('aten::stack');
const vectorNorm = tensorOperator('aten::linalg_vector_norm');
const atMost = tensorOperator('aten::clamp_max');

/** The 2-norm of all tensors together, as a tensor of one element. Does not wait for the device. */
export function commonNorm(tensors: readonly Tensor[]): Tensor {
  return scope(() => vectorNorm(stack(norms(tensors))));
}

/**
 * Scales the gradients so that their common 2-norm is at most `limit` (torch.nn.utils.clip_grad_norm_). Does not wait for a
 * GPU. On the CPU, gradients that need no scaling are not touched; the result is the same.
 * @param norm their common 2-norm
 */
export function clipGradients(parameters: readonly Tensor[], norm: Tensor, limit: number): void {
  scope(() =>
    noGrad(() => {
      if (norm.device !== 'cpu') return scale(gradients(parameters), factorOf(norm, limit));
      const factor = limit / (norm.item() + 1e-6);
      if (factor < 1) scale(gradients(parameters), factor);
    }),
  );
}

/** min(1, limit / (norm + 1e-6)), computed in F64 as a CPU does, in the dtype of the norm, of shape []. */
function factorOf(norm: Tensor, limit: number): Tensor {
  const raised = to(norm, { dtype: 'F64' });
  increase(raised, 1e-6);
  return to(atMost(divide(full([], limit, 'F64', norm.device), raised), 1), { dtype: norm.dtype });
}

/** The 2-norm of all gradients together, as a tensor of one element on their device; 0 without gradients. */
export function gradientNorm(parameters: readonly Tensor[]): Tensor {
  return scope(() => {
    const all = gradients(parameters);
    return all.length === 0 ? zeros([], 'F32', parameters[0]?.device) : commonNorm(all);
  });
}

function gradients(parameters: readonly Tensor[]): Tensor[] {
  return parameters.map((parameter) => parameter.grad).filter((gradient) => gradient !== null);
}
