import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { Generator } from '../torch/random.js';
import { liveHandles } from '../torch/scope.js';
import type { InitContext } from './init.js';
import { Mlp } from './layers.js';
import { loadWeights, weightsOf } from './weights.js';

const context = (seed: number, dtype: 'F32' | 'F64' = 'F32'): InitContext => ({
  device: 'cpu',
  dtype,
  generator: new Generator().seed([seed]),
});

test('saved weights load bit-identically, and training continues', () => {
  const [from, into] = [new Mlp(3, 4, context(1)), new Mlp(3, 4, context(2))];
  const weights = weightsOf(from);
  expect([...weights.keys()]).toEqual(['fc1.weight', 'fc1.bias', 'fc2.weight', 'fc2.bias']);
  expect(weightsOf(into)).not.toEqual(weights);
  const before = liveHandles();
  loadWeights(into, weights, 'a file');
  expect(liveHandles()).toBe(before);
  expect(weightsOf(into)).toEqual(weights);
  expect(into.parameters().every((parameter) => parameter.requiresGrad)).toBe(true);
});

test('weights are converted to the dtype of the parameters', () => {
  const [from, into] = [new Mlp(3, 4, context(1)), new Mlp(3, 4, context(2, 'F64'))];
  loadWeights(into, weightsOf(from), 'a file');
  expect(into.fc1.weight.dtype).toBe('F64');
  expect(Array.from(into.fc1.weight.toFloat64Array())).toEqual(Array.from(from.fc1.weight.toFloat32Array()));
});

describe('weights that do not fit are refused by name, and nothing changes', () => {
  const module = new Mlp(3, 4, context(1));
  const other = weightsOf(new Mlp(3, 4, context(2)));
  const tensor = (shape: number[]): TensorData => ({
    dtype: 'F32',
    shape,
    data: new Uint8Array(4 * shape.reduce((a, b) => a * b, 1)),
  });
  const without = (...names: string[]) => new Map([...other].filter(([name]) => !names.includes(name)));

  test.each<[string, Map<string, TensorData>, string]>([
    ['missing', without('fc2.bias'), 'a file has no fc2.bias'],
    ['all missing', new Map(), 'a file has no fc1.weight, fc1.bias, fc2.weight and 1 more'],
    [
      'left over',
      new Map([...other, ['fc3.weight', tensor([1])]]),
      'a file contains fc3.weight, which the model does not have',
    ],
    [
      'another shape',
      new Map([...other, ['fc2.weight', tensor([4, 3])]]),
      'a file: fc2.weight has shape [4, 3], but the model needs [3, 4]',
    ],
    [
      'another rank',
      new Map([...other, ['fc1.bias', tensor([4, 1])]]),
      'a file: fc1.bias has shape [4, 1], but the model needs [4]',
    ],
  ])('%s', (_, weights, message) => {
    const before = weightsOf(module);
    let error: unknown;
    try {
      loadWeights(module, weights, 'a file');
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(InputError);
    expect((error as InputError).message).toBe(message);
    expect((error as InputError).hint).toContain('inspect');
    expect(weightsOf(module)).toEqual(before);
  });
});
