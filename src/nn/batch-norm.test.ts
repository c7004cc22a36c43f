import { expect, test } from 'vitest';
import { backward, noGrad } from '../torch/autograd.js';
import { mul, ones, sum } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { liveHandles, scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { activationTape } from './activation-checkpoint.js';
import { BatchNorm2d } from './batch-norm.js';
import { Conv2d } from './convolution.js';
import type { InitContext } from './init.js';
import { Module } from './module.js';
import { loadWeights, weightsOf } from './weights.js';

const context: InitContext = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) };
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
  const judged = scope(() => norm.forward(images(), { training: false }).toFloat32Array());
  const [mean, variance] = ONCE;
  expect(Array.from(judged)).toEqual(
    [0, 2, 4, 6].map((x) => expect.closeTo((x - mean) / Math.sqrt(variance + 1e-5), 5)),
  );
  expect(statistics(norm)[2]).toBe(1);
});

test('a frozen one is in evaluation mode: its statistics stay', () => {
  const norm = new BatchNorm2d(1, context);
  norm.setTrainable(false);
  const [frozen, judged] = [true, false].map((training) =>
    scope(() => norm.forward(images(), { training }).toFloat32Array()),
  );
  expect(frozen).toEqual(judged);
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
