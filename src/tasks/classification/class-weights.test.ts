import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { backward } from '../../torch/autograd.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { balancedWeights } from './class-target.js';
import { classification } from './classification.js';

interface Case {
  readonly smoothing: number;
  readonly logits: readonly (readonly number[])[];
  readonly labels: readonly number[];
  /** A distribution for each image, instead of its label. */
  readonly soft: readonly (readonly number[])[] | null;
  readonly weights: readonly number[];
  readonly loss: number;
  readonly gradient: readonly (readonly number[])[];
}

// Made by test/fixtures/make-class-weights.py with torch.
const { cases }: { cases: Case[] } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/class-weights.json', import.meta.url), 'utf8'),
);

const images = { channels: 1, mean: [0.5], std: [0.5], device: 'cpu', dtype: 'F64' } as const;

test.each(cases)("torch's CrossEntropyLoss(weight), smoothing $smoothing, weights $weights", (each) => {
  const classes = each.weights.length;
  const shape = [each.labels.length, classes];
  const task = classification({
    ...images,
    classes,
    labelSmoothing: each.smoothing,
    classWeights: each.weights,
  });
  scope(() => {
    const logits = fromArray(Float64Array.from(each.logits.flat()), shape);
    logits.requiresGrad = true;
    const labels = fromArray(BigInt64Array.from(each.labels, BigInt), [each.labels.length]);
    const soft = each.soft && fromArray(Float64Array.from(each.soft.flat()), shape);
    const loss = task.loss(logits, { labels, ...(soft && { soft }) });
    expect(Math.abs(loss.item() - each.loss)).toBeLessThan(1e-12);
    backward(loss);
    const gradient = (logits.grad as Tensor).toFloat64Array();
    for (const [i, value] of each.gradient.flat().entries())
      expect(Math.abs(gradient[i] - value)).toBeLessThan(1e-12);
  });
});

test('scores are not weighted', () => {
  const of = (classWeights: readonly number[] | null) =>
    classification({ ...images, classes: 2, classWeights });
  const [plain, weighted] = [null, [1, 9]].map((weights) =>
    scope(() => {
      const logits = fromArray(Float64Array.of(1, 0, 0, 2), [2, 2]);
      const labels = fromArray(BigInt64Array.of(0n, 1n), [2]);
      return Number((of(weights).score(logits, { labels }).loss as Tensor).item());
    }),
  );
  expect(weighted).toBe(plain);
});

test.each([
  // scikit-learn's compute_class_weight('balanced') of the classes with images.
  [
    [50, 10, 5],
    [65 / 150, 65 / 30, 65 / 15],
  ],
  [
    [50, 10, 0, 5],
    [65 / 150, 65 / 30, 0, 65 / 15],
  ],
  [
    [7, 7],
    [1, 1],
  ],
])('balanced weights of %j images', (counts, weights) => {
  expect(balancedWeights(counts)).toEqual(weights);
});

test.each([
  [{ classWeights: [1, 2, 3] }, 'class_weights has 3 numbers, but the model has 2 classes'],
  [{ classWeights: [1, 2], loss: 'bce' as const }, 'class_weights and loss bce cannot be combined'],
  [{ classWeights: [0, 0] }, 'class_weights are [0, 0]'],
  [{ classWeights: [1, Number.NaN] }, 'class_weights are [1, NaN]'],
])('%j is refused', (options, message) => {
  expect(() => classification({ ...images, classes: 2, ...options })).toThrow(message);
});
