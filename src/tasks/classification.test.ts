import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import type { Batch } from '../data/batch.js';
import { scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import { classification } from './classification.js';

function batchOf(channels: number, images: readonly number[], labels: readonly number[]): Batch {
  const size = labels.length;
  return {
    ...{ size, channels, height: 1, width: images.length / channels / size },
    images: Uint8Array.from(images),
    labels: Int32Array.from(labels),
    indices: Int32Array.from({ length: size }, (_, i) => i),
  };
}

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
        ...{
          shape: input.shape,
          dtype: input.dtype,
          targets: new BigInt64Array(target.toData().data.buffer),
        },
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

  test('repeats grey over all channels, each normalised its own way', () => {
    const { shape, values } = prepared(rgb, batchOf(1, [0, 255], [0]));
    expect(shape).toEqual([1, 3, 1, 2]);
    for (const [i, value] of values.entries()) expect(value).toBeCloseTo([-1, 1, -1, 3, 0, 0.5][i], 6);
  });

  test('in float64 holds the numbers of float32', () => {
    const batch = batchOf(3, [1, 2, 3], [0]);
    const { dtype, values } = prepared({ ...rgb, dtype: 'F64' }, batch);
    expect(dtype).toBe('F64');
    expect(values).toEqual(prepared(rgb, batch).values);
  });

  test('refuses colour for a grey model, and labels the model does not know', () => {
    const grey = { ...rgb, channels: 1, mean: [0], std: [1] };
    const failure = (options: typeof rgb, batch: Batch) => {
      try {
        prepared(options, batch);
      } catch (error) {
        expect(error).toBeInstanceOf(InputError);
        const { message, hint } = error as InputError;
        return [message, hint];
      }
      throw new Error('nothing was refused');
    };
    expect(failure(grey, batchOf(3, [0, 0, 0], [0]))).toEqual([
      'the images have 3 channels, the model takes 1',
      'set model.channels to 3',
    ]);
    expect(failure(rgb, batchOf(1, [0, 0], [1, 4]))).toEqual([
      'an image has label 4, the model knows classes 0 to 3',
      'set model.classes to at least 5',
    ]);
    expect(failure(rgb, batchOf(1, [0, 0], [1, -1]))).toEqual([
      'an image has label -1, the model knows classes 0 to 3',
      'labels are numbers from 0',
    ]);
  });
});

describe('loss and score', () => {
  const logits = fromArray(Float32Array.of(Math.log(2), 0, 0, 0, 0, 0, Math.log(5), 0), [2, 4]);
  const target = fromArray(BigInt64Array.of(0n, 3n), [2]);
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
    const score = scope(() => classification({ ...rgb, labelSmoothing: 0.2 }).score(logits, target));
    expect(score.loss).toBeCloseTo(first + second, 6);
    expect(score).toMatchObject({ top1: 1, top5: 2 });
  });
});
