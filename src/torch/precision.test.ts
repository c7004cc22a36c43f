import { expect, test } from 'vitest';
import { matmul, ones } from './ops.js';
import { inPrecision, type Precision, precisionOn } from './precision.js';
import { scope } from './scope.js';

test.each<[string, 'auto' | Precision, boolean, Precision]>([
  ['cpu', 'auto', false, 'float32'],
  ['cuda:0', 'auto', true, 'bfloat16'],
  ['cuda:3', 'auto', true, 'bfloat16'],
  ['cuda:0', 'auto', false, 'float32'],
  ['cuda:0', 'float32', true, 'float32'],
  ['cuda:0', 'tf32', true, 'tf32'],
  ['cpu', 'bfloat16', false, 'bfloat16'],
])('on %s, %s with native bfloat16 %s is %s', (device, given, isNative, expected) => {
  expect(precisionOn(device, given, () => isNative)).toBe(expected);
});

test('auto on a CPU does not ask for a GPU', () => {
  expect(precisionOn('cpu', 'auto')).toBe('float32');
  expect(
    precisionOn('cpu', 'auto', () => {
      throw new Error('asked');
    }),
  ).toBe('float32');
});

test.each<[Precision, string]>([
  ['float32', 'F32'],
  ['tf32', 'F32'],
  ['bfloat16', 'BF16'],
])('%s multiplies matrices as %s', (precision, dtype) => {
  scope(() => {
    const x = ones([2, 2]);
    expect(inPrecision(precision, 'cpu', () => matmul(x, x)).dtype).toBe(dtype);
    expect(matmul(x, x).dtype).toBe('F32');
  });
});
