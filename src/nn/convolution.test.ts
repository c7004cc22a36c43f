import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { averagePool2d, conv2d, globalAveragePool2d, ones, pad, relu, slice } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { Conv2d } from './convolution.js';
import type { InitContext } from './init.js';

const context: InitContext = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) };
const row = (...values: number[]) => fromArray(Float32Array.from(values), [1, 1, 1, values.length]);
const image = (rows: readonly (readonly number[])[]) =>
  fromArray(Float32Array.from(rows.flat()), [1, 1, rows.length, rows[0].length]);

test('a convolution is a cross-correlation, with stride, padding and groups', () => {
  const x = image([
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ]);
  const kernel = image([
    [1, 0],
    [0, 10],
  ]);
  const numbers = (options?: Parameters<typeof conv2d>[3]) =>
    scope(() => [...conv2d(x, kernel, null, options).toFloat32Array()]);
  expect(numbers()).toEqual([51, 62, 84, 95]);
  expect(numbers({ stride: 2 })).toEqual([51]);
  expect(numbers({ stride: 2, padding: 1 })).toEqual([10, 30, 70, 95]);
  const grouped = scope(() => conv2d(ones([1, 4, 1, 1]), ones([2, 2, 1, 1]), ones([2]), { groups: 2 }));
  expect([...grouped.toFloat32Array()]).toEqual([3, 3]);
});

test('pooling, ReLU, padding and steps', () => {
  const x = image([
    [1, 2, 3, 4],
    [5, 6, 7, 8],
  ]);
  expect([...averagePool2d(x, 2).toFloat32Array()]).toEqual([3.5, 5.5]);
  expect([...globalAveragePool2d(x).toFloat32Array()]).toEqual([4.5]);
  expect([...relu(row(-1, 0, 2)).toFloat32Array()]).toEqual([0, 0, 2]);
  expect([...pad(row(1, 2), [1, 2]).toFloat32Array()]).toEqual([0, 1, 2, 0, 0]);
  expect([...slice(x, 3, 0, undefined, 2).toFloat32Array()]).toEqual([1, 3, 5, 7]);
});

test('weights have the deviation of He et al., of the fan that is named', () => {
  const deviation = (fan: 'in' | 'out') => {
    const { weight } = new Conv2d(64, 16, { kernel: 3, fan }, context);
    const values = weight.toFloat32Array();
    return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  };
  expect(deviation('in') / Math.sqrt(2 / (9 * 64))).toBeCloseTo(1, 1);
  expect(deviation('out') / Math.sqrt(2 / (9 * 16))).toBeCloseTo(1, 1);
});

test('names and shapes; sizes that are no whole numbers are refused', () => {
  const layer = new Conv2d(3, 4, { kernel: 3, stride: 2, padding: 1 }, context);
  expect(Array.from(layer.namedParameters(), ([name, { shape }]) => [name, shape])).toEqual([
    ['weight', [4, 3, 3, 3]],
    ['bias', [4]],
  ]);
  expect(layer.forward(ones([2, 3, 8, 8])).shape).toEqual([2, 4, 4, 4]);
  for (const options of [
    { kernel: 0 },
    { kernel: 1.5 },
    { kernel: 3, stride: 0 },
    { kernel: 3, padding: -1 },
  ]) {
    expect(() => new Conv2d(1, 1, options, context)).toThrow(InputError);
  }
});
