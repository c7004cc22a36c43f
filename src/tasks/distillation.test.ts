import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { DEVICE } from '../../test/test-device.js';
import { InputError } from '../base/errors.js';
import type { Batch } from '../data/dataset.js';
import type { Pass } from '../models/staged.js';
import { backward } from '../torch/autograd.js';
import { add, mean, mul, reshape, slice, to } from '../torch/ops.js';
import { liveHandles, scope } from '../torch/scope.js';
import { fromArray, type Tensor } from '../torch/tensor.js';
import { readScore } from '../training/evaluate.js';
import { classification } from './classification/classification.js';
import { distillation, type Teacher } from './distillation.js';

const fixture = JSON.parse(
  readFileSync(new URL('../../test/fixtures/distillation.json', import.meta.url), 'utf8'),
) as {
  classes: number;
  smoothing: number;
  lambda: number;
  labels: number[];
  teacher: number[];
  logits: Record<'one' | 'two', number[]>;
  cases: {
    heads: 'one' | 'two';
    mixed: boolean;
    kind: 'soft' | 'hard';
    alpha: number;
    tau: number;
    loss: number;
    gradient: number[];
  }[];
};
const { classes, labels } = fixture;
const size = labels.length;
const shapes = { one: [size, classes], two: [size, 2, classes] };

const batch: Batch = {
  size,
  channels: 1,
  height: 2,
  width: 5,
  images: Uint8Array.from({ length: size * 10 }, (_, i) => (37 * i) % 256),
  labels: Int32Array.from(labels),
  indices: Int32Array.from(labels.keys()),
};
const mixedBatch: Batch = {
  ...batch,
  erased: [{ slot: 1, left: 1, top: 0, width: 3, height: 2 }],
  noiseKey: ['noise'],
  mix: { lambda: fixture.lambda },
};

const own = (dtype: 'F32' | 'F64' = 'F64') =>
  classification({
    channels: 1,
    classes,
    mean: [0.5],
    std: [0.5],
    device: DEVICE,
    labelSmoothing: fixture.smoothing,
    dtype,
  });

const f64 = (values: readonly number[], shape: readonly number[]) =>
  fromArray(Float64Array.from(values), shape, DEVICE);
const fixedTeacher: Teacher = { forward: () => f64(fixture.teacher, [size, classes]) };

describe("DeiT's loss and gradient", () => {
  test.each(fixture.cases)('$kind, $heads, mixed $mixed, alpha $alpha, tau $tau', (each) => {
    scope(() => {
      const task = distillation(own(), { ...each, teacher: fixedTeacher });
      const { target } = task.prepare(each.mixed ? mixedBatch : batch);
      const logits = f64(fixture.logits[each.heads], shapes[each.heads]);
      logits.requiresGrad = true;
      const loss = task.loss(logits, target);
      expect(Math.abs(loss.item() - each.loss)).toBeLessThan(1e-12);
      backward(loss);
      const gradient = (logits.grad as Tensor).toFloat64Array();
      for (const [i, value] of gradient.entries()) {
        expect(Math.abs(value - each.gradient[i])).toBeLessThan(1e-12);
      }
    });
  });

  test('bfloat16 logits are computed in float32', () => {
    scope(() => {
      const [each] = fixture.cases;
      const narrow = (x: Tensor) => to(x, { dtype: 'BF16' });
      const teacher: Teacher = { forward: (images, pass) => narrow(fixedTeacher.forward(images, pass)) };
      const task = distillation(own('F32'), { ...each, teacher });
      const { target } = task.prepare(batch);
      const loss = task.loss(narrow(f64(fixture.logits.two, shapes.two)), target);
      expect(loss.dtype).toBe('F32');
      expect(Math.abs(loss.item() / each.loss - 1)).toBeLessThan(5e-3);
    });
  });
});

describe('the teacher', () => {
  /** Logits are the mean pixels of the columns, times a weight: what a model with a parameter gives. */
  function watched() {
    const weight = f64([2], [1]);
    weight.requiresGrad = true;
    const seen: { images: Tensor; pass: Pass; records: boolean }[] = [];
    const forward = (images: Tensor, pass: Pass) => {
      const logits = mul(mean(reshape(images, [size, 2, classes]), 1), weight);
      seen.push({ images, pass, records: logits.requiresGrad });
      return logits;
    };
    return { weight, seen, forward };
  }

  test('sees the same mixed and erased images, in evaluation mode, and learns nothing', () => {
    scope(() => {
      const teacher = watched();
      const task = distillation(own(), { teacher, kind: 'hard', alpha: 0.5, tau: 1 });
      const { input, target } = task.prepare(mixedBatch);
      expect(input.toFloat64Array()).toEqual(own().prepare(mixedBatch).input.toFloat64Array());
      const logits = f64(fixture.logits.one, shapes.one);
      logits.requiresGrad = true;
      backward(task.loss(logits, target));
      expect(teacher.seen).toHaveLength(1);
      const [{ images, pass, records }] = teacher.seen;
      expect(images).toBe(input);
      expect(pass.training).toBe(false);
      expect(records).toBe(false);
      expect(teacher.weight.grad).toBeNull();
      expect(logits.grad).not.toBeNull();
    });
  });

  test('with two heads teaches with their mean', () => {
    scope(() => {
      const [each] = fixture.cases;
      const offset = f64([1, -2, 3, -4, 5], [1, 1, classes]);
      const apart = mul(offset, f64([1, -1], [1, 2, 1]));
      const teacher: Teacher = { forward: () => add(f64(fixture.teacher, [size, 1, classes]), apart) };
      const task = distillation(own(), { ...each, teacher });
      const loss = task.loss(f64(fixture.logits.two, shapes.two), task.prepare(batch).target);
      expect(loss.item()).toBeCloseTo(each.loss, 12);
    });
  });

  test('with other classes is refused', () => {
    scope(() => {
      const teacher: Teacher = {
        forward: (images, pass) => slice(fixedTeacher.forward(images, pass), 1, 0, 3),
      };
      const task = distillation(own(), { teacher, kind: 'soft', alpha: 0.5, tau: 1 });
      const { target } = task.prepare(batch);
      const logits = f64(fixture.logits.two, shapes.two);
      expect(() => task.loss(logits, target)).toThrow(InputError);
      expect(() => task.loss(logits, target)).toThrow('the teacher has 3 classes, but the model has 5');
    });
  });

  test('is not run in evaluation', () => {
    scope(() => {
      const teacher = watched();
      const task = distillation(own(), { teacher, kind: 'soft', alpha: 0.5, tau: 1 });
      const { target } = task.prepare(batch);
      const one = f64(fixture.logits.one, shapes.one);
      const two = f64(fixture.logits.two, shapes.two);
      expect(readScore(task.score(one, target))()).toEqual(readScore(own().score(one, target.own))());
      expect(readScore(task.score(two, target))()).toEqual(
        readScore(own().score(mean(two, 1), target.own))(),
      );
      expect(teacher.seen).toEqual([]);
    });
  });
});

test('nothing but the loss is left', () => {
  const task = distillation(own(), { teacher: fixedTeacher, kind: 'soft', alpha: 0.5, tau: 2 });
  const lossOf = () =>
    scope(() => task.loss(f64(fixture.logits.two, shapes.two), task.prepare(mixedBatch).target));
  // The first erasing makes the task's generator.
  lossOf().free();
  const before = liveHandles();
  const loss = lossOf();
  expect(liveHandles()).toBe(before + 1);
  loss.free();
});

test.each([{ alpha: 1.5 }, { alpha: Number.NaN }, { tau: 0 }, { tau: Number.NaN }])(
  '%o is refused',
  (change) => {
    const options = { teacher: fixedTeacher, kind: 'soft', alpha: 0.5, tau: 2 } as const;
    expect(() => distillation(own(), { ...options, ...change })).toThrow(InputError);
  },
);
