import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { backward, noGrad } from '../torch/autograd.js';
import {
  averagePool2d,
  conv2d,
  globalAveragePool2d,
  mul,
  ones,
  pad,
  relu,
  slice,
  sum,
} from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { liveHandles, scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { activationTape } from './activation-checkpoint.js';
import { BatchNorm2d, Conv2d } from './convolutional.js';
import type { InitContext } from './init.js';
import { Module } from './module.js';
import { loadWeights, weightsOf } from './weights.js';

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

test('weights have the deviation of He et al. for the given fan', () => {
  const deviation = (fan: 'in' | 'out') => {
    const { weight } = new Conv2d(64, 16, { kernel: 3, fan }, context);
    const values = weight.toFloat32Array();
    return Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  };
  expect(deviation('in') / Math.sqrt(2 / (9 * 64))).toBeCloseTo(1, 1);
  expect(deviation('out') / Math.sqrt(2 / (9 * 16))).toBeCloseTo(1, 1);
});

test('names and shapes; sizes that are not whole numbers are refused', () => {
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

const training = { training: true };
/** [2, 1, 1, 2]: mean 3, variance 5 (6.667 unbiased). */
const images = () => fromArray(Float32Array.of(0, 2, 4, 6), [2, 1, 1, 2]);
const statistics = (norm: BatchNorm2d) => [
  norm.running_mean.tensor.toFloat32Array()[0],
  norm.running_var.tensor.toFloat32Array()[0],
  norm.num_batches_tracked.tensor.item(),
];
/** torch.nn.BatchNorm2d(1) after one micro-batch. */
const ONCE = [Math.fround(0.3), Math.fround(0.9 + 0.1 * (20 / 3)), 1];

test('training normalises by the batch and moves the statistics; evaluation uses them', () => {
  const norm = new BatchNorm2d(1, context);
  const trained = scope(() => norm.forward(images(), training).toFloat32Array());
  expect(Array.from(trained)).toEqual([-3, -1, 1, 3].map((x) => expect.closeTo(x / Math.sqrt(5 + 1e-5), 6)));
  for (const [i, value] of statistics(norm).entries()) expect(value).toBeCloseTo(ONCE[i], 6);
  const evaluated = scope(() => norm.forward(images(), { training: false }).toFloat32Array());
  const [mean, variance] = ONCE;
  expect(Array.from(evaluated)).toEqual(
    [0, 2, 4, 6].map((x) => expect.closeTo((x - mean) / Math.sqrt(variance + 1e-5), 5)),
  );
  expect(statistics(norm)[2]).toBe(1);
});

test('a frozen layer is in evaluation mode: its statistics do not change', () => {
  const norm = new BatchNorm2d(1, context);
  norm.setTrainable(false);
  const [frozen, evaluated] = [true, false].map((training) =>
    scope(() => norm.forward(images(), { training }).toFloat32Array()),
  );
  expect(frozen).toEqual(evaluated);
  expect(statistics(norm)).toEqual([0, 1, 0]);
  norm.setTrainable(true);
  scope(() => norm.forward(images(), training));
  expect(statistics(norm)[2]).toBe(1);
});

test('statistics are weights: named, saved and loaded as in PyTorch', () => {
  const [from, into] = [new BatchNorm2d(2, context), new BatchNorm2d(2, context)];
  scope(() => from.forward(ones([3, 2, 4, 4]), training));
  const weights = weightsOf(from);
  expect([...weights.keys()]).toEqual([
    'weight',
    'bias',
    'running_mean',
    'running_var',
    'num_batches_tracked',
  ]);
  expect(weights.get('num_batches_tracked')?.dtype).toBe('I64');
  expect(Array.from(from.namedParameters(), ([name]) => name)).toEqual(['weight', 'bias']);
  loadWeights(into, weights, 'a file');
  expect(weightsOf(into)).toEqual(weights);
  expect(() => loadWeights(into, new Map([...weights].slice(0, 3)), 'a file')).toThrow(/has no running_var/);
  const before = liveHandles();
  new BatchNorm2d(2, context).free();
  expect(liveHandles()).toBe(before);
});

test('recomputing activations does not move the statistics again, and gradients are the same', () => {
  class Block extends Module {
    readonly conv = new Conv2d(1, 2, { kernel: 1 }, { ...context, generator: new Generator().seed([1]) });
    readonly norm = new BatchNorm2d(2, context);
  }
  const blocks = [new Block(), new Block()];
  const [plain, taped] = blocks;
  const outcome = (block: Block, tape?: ReturnType<typeof activationTape>) =>
    scope(() => {
      const forward = (x: ReturnType<typeof images>) => block.norm.forward(block.conv.forward(x), training);
      const x = images();
      const y = tape?.run(block, x, forward) ?? forward(x);
      backward(sum(mul(y, mul(y, y))));
      tape?.backward();
      tape?.free();
      return {
        gradients: block.parameters().map((parameter) => parameter.grad?.toFloat32Array()),
        weights: weightsOf(block),
      };
    });
  const expected = outcome(plain);
  expect(expected.weights.get('norm.num_batches_tracked')?.data[0]).toBe(1);
  expect(outcome(taped, activationTape())).toEqual(expected);
});

test('a pass leaves no handles', () => {
  const norm = new BatchNorm2d(1, context);
  const before = liveHandles();
  scope(() => {
    noGrad(() => norm.forward(images(), { training: false }));
    norm.forward(images(), training);
  });
  expect(liveHandles()).toBe(before);
});
