import { noGrad } from '../../torch/autograd.js';
import { tensorOperator } from '../../torch/operator.js';
import { scope } from '../../torch/scope.js';
import type { Tensor } from '../../torch/tensor.js';
import { norms, scale } from './foreach.js';

const stack = tensorOperator('aten::stack');
const norm = tensorOperator('aten::linalg_vector_norm');

/** The 2-norm of all tensors together, as a tensor of one element. Does not wait for the device. */
export function commonNorm(tensors: readonly Tensor[]): Tensor {
  return scope(() => norm(stack(norms(tensors))));
}

/** The 2-norm of all gradients together. Waits for the device. */
export function gradientNorm(parameters: readonly Tensor[]): number {
  return scope(() => commonNorm(gradients(parameters)).item());
}

/**
 * Scales the gradients so that their common 2-norm is at most `limit` (torch.nn.utils.clip_grad_norm_).
 * @returns the norm before scaling
 */
export function clipGradients(parameters: readonly Tensor[], limit: number): number {
  const before = gradientNorm(parameters);
  const factor = limit / (before + 1e-6);
  if (factor < 1) scope(() => noGrad(() => scale(gradients(parameters), factor)));
  return before;
}

function gradients(parameters: readonly Tensor[]): Tensor[] {
  return parameters.map((parameter) => parameter.grad).filter((gradient) => gradient !== null);
}
