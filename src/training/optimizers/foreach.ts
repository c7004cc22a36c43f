import { operator, tensorsOperator } from '../../torch/operator.js';
import type { Tensor } from '../../torch/tensor.js';

// Typed signatures of libtorch's operators on lists of tensors: one call updates all parameters. Each operator works on the
// lists element by element. Operators that return nothing change their first list in place.

type Tensors = readonly Tensor[];

const aten = {
  norm: tensorsOperator('aten::_foreach_norm', 'Scalar'),
  sqrt: tensorsOperator('aten::_foreach_sqrt'),
  div: tensorsOperator('aten::_foreach_div', 'List'),
  divTensor: tensorsOperator('aten::_foreach_div', 'Tensor'),
  lerp: tensorsOperator('aten::_foreach_lerp', 'Scalar'),
  lerpInPlace: operator<undefined>('aten::_foreach_lerp_', 'Scalar'),
  scale: operator<undefined>('aten::_foreach_mul_', 'Scalar'),
  mulList: operator<undefined>('aten::_foreach_mul_', 'List'),
  mulTensor: operator<undefined>('aten::_foreach_mul_', 'Tensor'),
  divScalar: operator<undefined>('aten::_foreach_div_', 'Scalar'),
  add: operator<undefined>('aten::_foreach_add_', 'List'),
  addScalar: operator<undefined>('aten::_foreach_add_', 'Scalar'),
  addProduct: operator<undefined>('aten::_foreach_addcmul_', 'Scalar'),
  sign: operator<undefined>('aten::_foreach_sign_'),
};

/** The 2-norm of each tensor, as a tensor of one element. */
export const norms = (xs: Tensors): Tensor[] => aten.norm(xs, 2);
/** sqrt(x). */
export const roots = (xs: Tensors): Tensor[] => aten.sqrt(xs);
/** x / y; a single tensor y, of one element, divides all. */
export const quotients = (xs: Tensors, ys: Tensors | Tensor): Tensor[] =>
  Array.isArray(ys) ? aten.div(xs, ys) : aten.divTensor(xs, ys as Tensor);
/** x + weight (y - x). */
export const lerped = (xs: Tensors, ys: Tensors, weight: number): Tensor[] => aten.lerp(xs, ys, weight);

/** x += weight (y - x). */
export const lerpEach = (xs: Tensors, ys: Tensors, weight: number): void => aten.lerpInPlace(xs, ys, weight);
/**
 * x *= factor; a list has one factor per tensor, of the tensor's shape or of one element; a single tensor, of shape [],
 * multiplies all.
 */
export const scale = (xs: Tensors, factor: number | Tensors | Tensor): void => {
  if (typeof factor === 'number') aten.scale(xs, factor);
  else if (Array.isArray(factor)) aten.mulList(xs, factor);
  else aten.mulTensor(xs, factor as Tensor);
};
/** x /= divisor. */
export const divideEach = (xs: Tensors, divisor: number): void => aten.divScalar(xs, divisor);
/** x += factor y. */
export const addEach = (xs: Tensors, ys: Tensors, factor = 1): void => aten.add(xs, ys, factor);
/** x += term. */
export const addScalar = (xs: Tensors, term: number): void => aten.addScalar(xs, term);
/** x += factor y z. */
export const addProduct = (xs: Tensors, ys: Tensors, zs: Tensors, factor: number): void =>
  aten.addProduct(xs, ys, zs, factor);
/** x = sign(x), with sign(0) = 0. */
export const sign = (xs: Tensors): void => aten.sign(xs);
