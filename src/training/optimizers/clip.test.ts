import { expect, test } from 'vitest';
import { DEVICE } from '../../../test/test-device.js';
import { backward } from '../../torch/autograd.js';
import { mul, sum } from '../../torch/ops.js';
import { liveHandles, scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { clipGradients, gradientNorm } from './clip.js';

/** A parameter whose gradient is `gradient`. */
function withGradient(...gradient: number[]): Tensor {
  const tensor = fromArray(new Float32Array(gradient.length), [gradient.length], DEVICE);
  tensor.requiresGrad = true;
  scope(() => backward(sum(mul(tensor, fromArray(Float32Array.from(gradient), [gradient.length], DEVICE)))));
  return tensor;
}
const gradients = (tensors: Tensor[]) =>
  scope(() => tensors.map(({ grad }) => Array.from(grad?.toFloat32Array() ?? [])));

/** Clips, and returns the norm before and after. */
function clip(parameters: Tensor[], limit: number): [before: number, after: number] {
  return scope(() => {
    const before = gradientNorm(parameters);
    clipGradients(parameters, before, limit);
    return [before.item(), gradientNorm(parameters).item()];
  });
}
const normOf = (parameters: Tensor[]) => scope(() => gradientNorm(parameters).item());

test('the norm is that of all gradients together', () => {
  expect(normOf([withGradient(3), withGradient(0, 4)])).toBeCloseTo(5, 6);
  expect(normOf([withGradient(2, -1), withGradient(4, 2)])).toBeCloseTo(5, 6);
});

test('larger ones are scaled to the limit by a common factor', () => {
  const parameters = [withGradient(3), withGradient(0, -4)];
  const before = liveHandles();
  const [norm, clipped] = clip(parameters, 1);
  expect(norm).toBeCloseTo(5, 6);
  expect(clipped).toBeLessThanOrEqual(1);
  expect(liveHandles()).toBe(before);
  const [[a], [b, c]] = gradients(parameters);
  expect(a).toBeCloseTo(0.6, 5);
  expect(b).toBe(0);
  expect(c).toBeCloseTo(-0.8, 5);
});

test('smaller ones, and parameters without gradients, are unchanged', () => {
  const parameters = [withGradient(3), withGradient(4)];
  const none = fromArray(Float32Array.of(1), [1], DEVICE);
  expect(clip([...parameters, none], 5.1)[0]).toBeCloseTo(5, 6);
  expect(gradients(parameters)).toEqual([[3], [4]]);
  expect(none.grad).toBeNull();
});

test('without gradients the norm is 0', () => {
  expect(normOf([])).toBe(0);
});
