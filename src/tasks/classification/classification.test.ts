import { describe, expect, test } from 'vitest';
import { goldenJson } from '../../../test/support.js';
import { InputError } from '../../base/errors.js';
import type { Batch } from '../../data/dataset.js';
import { select, zeros } from '../../torch/ops.js';
import { liveHandles, scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { readScore } from '../../training/evaluate.js';
import { type ClassTarget, classification } from './classification.js';

function batchOf(channels: number, images: readonly number[], labels: readonly number[]): Batch {
  const size = labels.length;
  return {
    size,
    channels,
    height: 1,
    width: images.length / channels / size,
    images: Uint8Array.from(images),
    labels: Int32Array.from(labels),
    indices: Int32Array.from({ length: size }, (_, i) => i),
  };
}

const sumsOf = (task: ReturnType<typeof classification>, logits: Tensor, target: ClassTarget) =>
  readScore(task.score(logits, target))();

const rgb = {
  channels: 3,
  classes: 4,
  mean: [0.5, 0.25, 0],
  std: [0.5, 0.25, 2],
  labelSmoothing: 0,
  device: 'cpu',
};

describe('prepare', () => {
  const prepared = (options: typeof rgb & { dtype?: 'F32' | 'F64' }, batch: Batch) =>
    scope(() => {
      const { input, target } = classification(options).prepare(batch);
      return {
        shape: input.shape,
        dtype: input.dtype,
        targets: new BigInt64Array(target.labels.toData().data.buffer),
        values: Array.from(input.dtype === 'F64' ? input.toFloat64Array() : input.toFloat32Array()),
      };
    });

  test('normalises each channel of pixels in 0 ... 1', () => {
    // Two images of two pixels, channel by channel.
    const batch = batchOf(3, [0, 255, 0, 255, 0, 255, 51, 51, 51, 51, 51, 51], [3, 1]);
    const { shape, dtype, values, targets } = prepared(rgb, batch);
    expect(shape).toEqual([2, 3, 1, 2]);
    expect(dtype).toBe('F32');
    const expected = [-1, 1, -1, 3, 0, 0.5, -0.6, -0.6, -0.2, -0.2, 0.1, 0.1];
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo(expected[i], 6);
    expect([...targets]).toEqual([3n, 1n]);
  });

  test('repeats grey over all channels, each with its own normalisation', () => {
    const { shape, values } = prepared(rgb, batchOf(1, [0, 255], [0]));
    expect(shape).toEqual([1, 3, 1, 2]);
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo([-1, 1, -1, 3, 0, 0.5][i], 6);
  });

  test('in float64 has the values of float32', () => {
    const batch = batchOf(3, [1, 2, 3], [0]);
    const { dtype, values } = prepared({ ...rgb, dtype: 'F64' }, batch);
    expect(dtype).toBe('F64');
    expect(values).toEqual(prepared(rgb, batch).values);
  });

  test('refuses colour for a grey model, and labels that the model does not have', () => {
    const grey = { ...rgb, channels: 1, mean: [0], std: [1] };
    const failure = (options: typeof rgb, batch: Batch) => {
      try {
        prepared(options, batch);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        const { message, hint } = error as InputError;
        return [message, hint];
      }
      throw new Error('no error was thrown');
    };
    expect(failure(grey, batchOf(3, [0, 0, 0], [0]))).toEqual([
      'the images have 3 channels, but the model needs 1',
      'set model.channels to 3',
    ]);
    expect(failure(rgb, batchOf(1, [0, 0], [1, 4]))).toEqual([
      'an image has label 4, but the model has the classes 0 to 3',
      'set model.classes to at least 5',
    ]);
    expect(failure(rgb, batchOf(1, [0, 0], [1, -1]))).toEqual([
      'an image has label -1, but the model has the classes 0 to 3',
      'labels must be numbers from 0',
    ]);
    expect(failure(rgb, { ...batchOf(1, [0, 0, 0], [0, 1, 2]), mix: { lambda: 0.5 } })).toEqual([
      'mixup and cutmix need an even batch size, not 3',
      'set batch_size to an even number, or data.augment.mixup and cutmix to 0',
    ]);
  });

  test('leaves only the input and the target', () => {
    const task = classification(rgb);
    const before = liveHandles();
    scope(() => {
      task.prepare(batchOf(1, [0, 255], [0, 1]));
      expect(liveHandles() - before).toBe(2);
      task.prepare({
        ...batchOf(1, [0, 255], [0, 1]),
        erased: [{ slot: 1, left: 0, top: 0, width: 1, height: 1 }],
        noiseKey: [1],
        mix: { lambda: 0.5 },
      });
      // And, from the first erasing on, the task's generator.
      expect(liveHandles() - before).toBe(2 + 3 + 1);
    });
  });
});

describe('the target of a mixed batch', () => {
  const golden = goldenJson<Record<`target_lam_${string}`, number[][]> & { labels: number[] }>('g_aug.json');
  const batch = batchOf(1, golden.labels, golden.labels);
  const task = (dtype: 'F32' | 'F64') => classification({ ...rgb, classes: 10, labelSmoothing: 0.1, dtype });
  const targetOf = (lambda: number, dtype: 'F32' | 'F64' = 'F32') =>
    task(dtype).prepare({ ...batch, mix: { lambda } }).target;

  test.each([1, 0.3, 0.7265625])('equals the official target, lambda %f', (lambda) => {
    scope(() => {
      const official = golden[`target_lam_${lambda === 1 ? '1.0' : lambda}`];
      const { soft, labels } = targetOf(lambda);
      expect(soft?.shape).toEqual([6, 10]);
      for (const [i, value] of (soft as Tensor).toFloat32Array().entries()) {
        expect(Math.abs(value - official.flat()[i])).toBeLessThan(1e-7);
      }
      expect([...new BigInt64Array(labels.toData().data.buffer)].map(Number)).toEqual(golden.labels);
    });
  });

  test('has the loss mean of -t log softmax; with lambda 1, the smoothed cross-entropy', () => {
    scope(() => {
      const values = Float64Array.from({ length: 60 }, (_, i) => Math.sin(7 * i));
      const logits = fromArray(values, [6, 10]);
      const expected = golden['target_lam_0.3'].map((row, b) => {
        const own = values.subarray(10 * b, 10 * b + 10);
        const total = Math.log(own.reduce((sum, x) => sum + Math.exp(x), 0));
        return row.reduce((sum, t, c) => sum + t * (total - own[c]), 0);
      });
      const mean = expected.reduce((a, b) => a + b) / 6;
      expect(task('F64').loss(logits, targetOf(0.3, 'F64')).item()).toBeCloseTo(mean, 6);
      const { labels } = targetOf(1, 'F64');
      expect(task('F64').loss(logits, targetOf(1, 'F64')).item()).toBeCloseTo(
        task('F64').loss(logits, { labels }).item(),
        12,
      );
    });
  });
});

describe('loss and score', () => {
  const logits = fromArray(Float32Array.of(Math.log(2), 0, 0, 0, 0, 0, Math.log(5), 0), [2, 4]);
  const target = { labels: fromArray(BigInt64Array.of(0n, 3n), [2]) };
  const [first, second] = [-Math.log(2 / 5), -Math.log(1 / 8)];

  test('the loss is the mean cross-entropy, smoothed', () => {
    const loss = (labelSmoothing: number) =>
      scope(() =>
        classification({ ...rgb, labelSmoothing })
          .loss(logits, target)
          .item(),
      );
    expect(loss(0)).toBeCloseTo((first + second) / 2, 6);
    const others = (first - 3 * Math.log(1 / 5)) / 4 + (-Math.log(5 / 8) + 3 * second) / 4;
    expect(loss(0.2)).toBeCloseTo(0.8 * ((first + second) / 2) + (0.2 * others) / 2, 6);
  });

  test('the score sums over images, unsmoothed; top-5 of four classes is everything', () => {
    const score = scope(() => sumsOf(classification({ ...rgb, labelSmoothing: 0.2 }), logits, target));
    expect(score.loss).toBeCloseTo(first + second, 6);
    expect(score).toMatchObject({ top1: 1, top5: 2 });
  });

  test('the first of two heads is trained, and their mean is evaluated', () => {
    scope(() => {
      const heads = fromArray(Float32Array.of(2, 0, 1, 0, 0, 4, 1, 0, 0, 0, 1, 3, 5, 2, 0, 0), [2, 2, 4]);
      const task = classification({ ...rgb, labelSmoothing: 0.1 });
      expect(task.loss(heads, target).item()).toBe(task.loss(select(heads, 1, 0), target).item());
      const mean = fromArray(Float32Array.of(1, 2, 1, 0, 2.5, 1, 0.5, 1.5), [2, 4]);
      expect(sumsOf(task, heads, target)).toEqual(sumsOf(task, mean, target));
      expect(sumsOf(task, heads, target)).not.toEqual(sumsOf(task, select(heads, 1, 0), target));
    });
  });
});

describe('contradictory options', () => {
  test.each([
    { mean: [0.5] },
    { std: [1, 1, 1, 1] },
    { std: [1, 0, 1] },
    { std: [1, -1, 1] },
    { mean: [0, Number.NaN, 0] },
  ])('%o is refused at once', (change) => {
    const call = () => classification({ ...rgb, ...change });
    expect(call).toThrow(InputError);
    expect(call).toThrow(/^(mean|std) is \[.*\], but there are 3 channels$/);
  });

  test.each([-0.1, 1.1, Number.NaN])('label smoothing of %d is refused', (labelSmoothing) => {
    expect(() => classification({ ...rgb, labelSmoothing })).toThrow(InputError);
  });

  test.each([[[2, 3]], [[2, 5]], [[2, 2, 3]], [[2, 4, 1, 1]]])(
    'logits %j of a task with 4 classes are refused, even where all labels are among them',
    (shape) => {
      const target = { labels: fromArray(BigInt64Array.of(0n, 1n), [2]) };
      const task = classification(rgb);
      for (const use of [task.loss, task.score]) {
        const call = () => scope(() => use(zeros(shape), target));
        expect(call).toThrow(InputError);
        expect(call).toThrow('the task needs logits [B, 4]');
      }
    },
  );
});
