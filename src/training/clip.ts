import { noGrad } from '../torch/autograd.js';
import { operator, tensorOperator, tensorsOperator } from '../torch/operator.js';
import { scope } from '../torch/scope.js';
import type { Tensor } from '../torch/tensor.js';

const foreachNorm = tensorsOperator('aten::_foreach_norm', 'Scalar');
const foreachScale = operator<undefined>('aten::_foreach_mul_', 'Scalar');
const stack = tensorOperator('aten::stack');
const norm = tensorOperator('aten::linalg_vector_norm');

/** The 2-norm of all gradients together. Waits for the device. */
export function gradientNorm(parameters: readonly Tensor[]): number {
  return scope(() => norm(stack(foreachNorm(gradients(parameters), 2))).item());
}

/**
 * Scales the gradients so that their common 2-norm is at most `limit` (torch.nn.utils.clip_grad_norm_).
 * @returns the norm before
 */
export function clipGradients(parameters: readonly Tensor[], limit: number): number {
  const before = gradientNorm(parameters);
  const factor = limit / (before + 1e-6);
  if (factor < 1) scope(() => noGrad(() => foreachScale(gradients(parameters), factor)));
  return before;
}

function gradients(parameters: readonly Tensor[]): Tensor[] {
  return parameters.map((parameter) => parameter.grad).filter((gradient) => gradient !== null);
}
