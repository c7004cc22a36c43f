import type { DType } from '../base/tensor-data.js';
import { failedCall } from './errors.js';
import { native } from './native.js';
import { mul } from './ops.js';
import { scope } from './scope.js';
import { scalarType, type Tensor } from './tensor.js';

/**
 * Runs `work` without recording for the backward pass.
 *
 * @example
 * const weight = scope(() => keep(ones([2])));
 * weight.requiresGrad = true;
 * noGrad(() => mul(weight, 2)).requiresGrad; // false
 */
export function noGrad<T>(work: () => T): T {
  return gradMode(false, work);
}

/** Runs `work` with or without recording for the backward pass. */
export function gradMode<T>(enabled: boolean, work: () => T): T {
  const before = native.setGradMode(enabled);
  try {
    return work();
  } finally {
    native.setGradMode(before);
  }
}

/** Whether operations are currently recorded for the backward pass. */
export function isRecording(): boolean {
  const recording = native.setGradMode(false);
  native.setGradMode(recording);
  return recording;
}

/**
 * Adds the gradients of `loss` (one element), times `weight`, to every leaf that requires them. Frees the graph.
 * @throws TorchError if nothing in the graph requires a gradient
 *
 * @example
 * const weight = scope(() => keep(ones([2])));
 * weight.requiresGrad = true;
 * backward(sum(mul(weight, 3)));
 * weight.grad?.toFloat32Array(); // 3, 3
 */
export function backward(loss: Tensor, weight = 1): void {
  scope(() => {
    const weighted = weight === 1 ? loss : mul(loss, weight);
    try {
      native.backward([weighted.handle], []);
    } catch (error) {
      throw failedCall(`backward(${loss})`, error);
    }
  });
}

/**
 * Continues a backward pass from `gradient`, the gradient of `output` (same shape): adds the resulting gradients to every
 * leaf that requires them. Frees the graph.
 * @throws TorchError if nothing in the graph requires a gradient, or the shapes differ
 */
export function backwardFrom(output: Tensor, gradient: Tensor): void {
  try {
    native.backward([output.handle], [gradient.handle]);
  } catch (error) {
    throw failedCall(`backwardFrom(${output}, ${gradient})`, error);
  }
}

/**
 * Drops the gradients: `grad` is null again.
 *
 * @example
 * const weight = scope(() => keep(ones([2])));
 * weight.requiresGrad = true;
 * backward(sum(weight));
 * clearGrads([weight]);
 * weight.grad; // null
 */
export function clearGrads(tensors: readonly Tensor[]): void {
  native.clearGrads(tensors.map((tensor) => tensor.handle));
}

/** Runs `work` with matrix products (and the other operators on libtorch's autocast list) in `dtype`. */
export function autocast<T>(device: string, dtype: DType, work: () => T): T {
  const type = device.split(':', 1)[0];
  const [enabled, before] = native.beginAutocast(type, scalarType(dtype));
  try {
    return work();
  } finally {
    native.endAutocast(type, enabled, before);
  }
}
