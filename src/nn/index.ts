/**
 * Building blocks of models: layers, their initialisation, and operators on libtorch tensors.
 * `import ... from 'deep-incubation/nn'`. For operators that are not listed here, use `tensorOperator`.
 *
 * @module nn
 */
export type { RandomKey } from '../base/random.js';
export type { DType, TensorData } from '../base/tensor-data.js';
export { backward, clearGrads, noGrad } from '../torch/autograd.js';
export { FreedTensorError, GpuError, OutOfMemoryError, TorchError } from '../torch/errors.js';
export { type Argument, tensorOperator } from '../torch/operator.js';
export {
  add,
  attention,
  averagePool2d,
  batchNorm,
  concat,
  conv2d,
  crossEntropy,
  divide,
  expand,
  fillNormal,
  gelu,
  globalAveragePool2d,
  layerNorm,
  linear,
  matmul,
  mean,
  mul,
  ones,
  pad,
  permute,
  relu,
  reshape,
  select,
  slice,
  sub,
  sum,
  to,
  transpose,
  unbind,
  type WindowOptions,
  zeros,
} from '../torch/ops.js';
export { Generator } from '../torch/random.js';
export { keep, type Owned, scope } from '../torch/scope.js';
export { fromArray, Tensor } from '../torch/tensor.js';
export { BatchNorm2d, Conv2d, type Conv2dOptions } from './convolutional.js';
export {
  constantParameter,
  fanInParameter,
  heParameter,
  type InitContext,
  normalParameter,
  oneParameter,
  setToZero,
  zeroParameter,
} from './init.js';
export {
  Attention,
  type AttentionOptions,
  dropPathOf,
  LayerNorm,
  Linear,
  type LinearOptions,
  Mlp,
  type Norm,
  RmsNorm,
} from './layers.js';
export { buffer, Module, ModuleBuffer } from './module.js';
export { loadWeights, weightsOf } from './weights.js';
