import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import type { Batch } from '../../data/dataset.js';
import { backward } from '../../torch/autograd.js';
import { to } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { readScore } from '../../training/evaluate.js';
import { classification } from './classification.js';

interface Made {
  readonly loss: number;
  readonly gradient: readonly number[];
}

// What test/fixtures/make-bce.py has computed with timm and torch.
const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/bce.json', import.meta.url), 'utf8'),
) as {
  classes: number;
  labels: number[];
  logits: number[];
  cases: ({ by: string; smoothing: number; threshold: number | null; lambda: number | null } & Record<
    'F64' | 'F32',
    Made
  >)[];
};
const { classes, labels } = fixture;
const size = labels.length;

const batch: Batch = {
  size,
  channels: 1,
  height: 2,
  width: 2,
  images: Uint8Array.from({ length: size * 4 }, (_, i) => 37 * i),
  labels: Int32Array.from(labels),
  indices: Int32Array.from(labels.keys()),
};

const taskOf = (labelSmoothing: number, bceThreshold: number | null, dtype: 'F32' | 'F64' = 'F64') =>
  classification({
    channels: 1,
    classes,
    mean: [0.5],
    std: [0.5],
    device: 'cpu',
    loss: 'bce',
    labelSmoothing,
    bceThreshold,
    dtype,
  });

function logitsOf(dtype: 'F32' | 'F64'): Tensor {
  const logits = to(fromArray(Float64Array.from(fixture.logits), [size, classes]), { dtype });
  logits.requiresGrad = true;
  return logits;
}

describe.each([
  ['F64', 1e-12],
  ['F32', 1e-6],
] as const)("timm's and DeiT-III's binary cross-entropy in %s", (dtype, bound) => {
  test.each(fixture.cases)('$by, smoothing $smoothing, threshold $threshold, lambda $lambda', (each) => {
    scope(() => {
      const task = taskOf(each.smoothing, each.threshold, dtype);
      const mix = each.lambda === null ? {} : { mix: { lambda: each.lambda } };
      const { target } = task.prepare({ ...batch, ...mix });
      const logits = logitsOf(dtype);
      const loss = task.loss(logits, target);
      expect(Math.abs(loss.item() - each[dtype].loss)).toBeLessThan(bound);
      backward(loss);
      const gradient = to(logits.grad as Tensor, { dtype: 'F64' }).toFloat64Array();
      for (const [i, value] of gradient.entries()) {
        expect(Math.abs(value - each[dtype].gradient[i])).toBeLessThan(bound);
      }
    });
  });
});

test('bfloat16 logits are widened, and the first of two heads is trained', () => {
  scope(() => {
    const task = taskOf(0.1, null, 'F32');
    const { target } = task.prepare(batch);
    const logits = logitsOf('F32');
    const narrow = to(logits, { dtype: 'BF16' });
    expect(task.loss(narrow, target).item()).toBe(task.loss(to(narrow, { dtype: 'F32' }), target).item());
    const rows = labels.map((_, i) => fixture.logits.slice(i * classes, (i + 1) * classes));
    const both = Float32Array.from(rows.flatMap((row) => [...row, ...row.map(() => 7)]));
    expect(task.loss(fromArray(both, [size, 2, classes]), target).item()).toBe(
      task.loss(logits, target).item(),
    );
  });
});

test('the score is that of cross-entropy', () => {
  scope(() => {
    const bce = taskOf(0.1, null);
    const other = classification({
      channels: 1,
      classes,
      mean: [0.5],
      std: [0.5],
      device: 'cpu',
      dtype: 'F64',
    });
    const logits = logitsOf('F64');
    const [a, b] = [bce, other].map((task) => readScore(task.score(logits, task.prepare(batch).target))());
    expect(a).toEqual(b);
  });
});

test.each([
  [0.1, 0, 'with bce_threshold 0 and label_smoothing 0.1, every class would be a target'],
  [0.5, 0.09, 'with bce_threshold 0.09 and label_smoothing 0.5, every class would be a target'],
  [0.1, 0.92, 'with bce_threshold 0.92 and label_smoothing 0.1, no class would be a target'],
  [0, 1, 'with bce_threshold 1 and label_smoothing 0, no class would be a target'],
])('smoothing %d with threshold %d is refused', (smoothing, threshold, message) => {
  expect(() => taskOf(smoothing, threshold)).toThrow(InputError);
  expect(() => taskOf(smoothing, threshold)).toThrow(message);
});

test.each([
  [0, 0],
  [0.1, 0.02],
  [0.1, 0.91],
])('smoothing %d with threshold %d separates label and other classes', (smoothing, threshold) => {
  scope(() => {
    const { soft } = taskOf(smoothing, threshold).prepare(batch).target;
    const expected = labels.flatMap((label) =>
      Array.from({ length: classes }, (_, i) => Number(i === label)),
    );
    expect([...(soft as Tensor).toFloat64Array()]).toEqual(expected);
  });
});
