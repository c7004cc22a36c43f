import { operator, tensorOperator, tensorsOperator } from '../../torch/operator.js';

// Operators of libtorch that only detection uses, with the arguments of their schemas. All throw TorchError.

export const maximum = tensorOperator('aten::maximum');
export const minimum = tensorOperator('aten::minimum');
export const clamp = tensorOperator('aten::clamp');
export const exp = tensorOperator('aten::exp');
export const indexSelect = tensorOperator('aten::index_select');
export const largestAlong = tensorsOperator('aten::max', 'dim');
export const greaterOrEqual = tensorOperator('aten::ge', 'Scalar');
export const greater = tensorOperator('aten::gt', 'Scalar');
export const anyAlong = tensorOperator('aten::any', 'dim');
export const and = tensorOperator('aten::logical_and');
export const nonzero = tensorOperator('aten::nonzero');
export const not = tensorOperator('aten::logical_not');
export const upperTriangle = tensorOperator('aten::triu');
export const argsort = tensorOperator('aten::argsort', 'stable');
export const isSame = operator<boolean>('aten::equal');
export const embeddingBag = tensorsOperator('aten::embedding_bag');
export const upsampleNearest = tensorOperator('aten::upsample_nearest2d');
export const transposedConv2d = tensorOperator('aten::conv_transpose2d', 'input');
export const absolute = tensorOperator('aten::abs');
export const sigmoid = tensorOperator('aten::sigmoid');
export const largest = tensorsOperator('aten::topk');
export const lossOfLogits = tensorOperator('aten::binary_cross_entropy_with_logits');
export const maxPool2d = tensorOperator('aten::max_pool2d');
export const groupNorm = tensorOperator('aten::group_norm');
