import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import { randAugment } from './auto-augment.js';
import { parsePolicy } from './auto-augment-policy.js';
import { colorJitter, deitTransform } from './deit-transform.js';
import {
  compose,
  horizontalFlip,
  type ImageSize,
  randomCrop,
  randomResizedCrop,
  sizeAfter,
  type Transform,
} from './transform.js';

const golden = JSON.parse(readFileSync(new URL('../../../test/golden/g_aug.json', import.meta.url), 'utf8'));
const MEAN = [0.485, 0.456, 0.406];
const PHOTO: ImageSize = { width: 90, height: 70, channels: 3 };

function expectSame(ours: Transform, theirs: Transform, size: ImageSize): void {
  for (let i = 0; i < 50; i++) {
    expect(ours(size, randomStream([i]))).toEqual(theirs(size, randomStream([i])));
  }
}

const numbersIn = (text: string, pattern: RegExp) => (pattern.exec(text) ?? []).slice(1).map(Number);

describe('without options, the official training transform', () => {
  const augment = randAugment(parsePolicy('rand-m9-mstd0.5-inc1'), MEAN);

  test('above 32', () => {
    const text: string = golden.train_transform_224;
    const [size, , low, high] = numbersIn(text, /size=\((\d+), (\d+)\), scale=\(([\d.]+), ([\d.]+)\)/);
    const [narrow, wide] = numbersIn(text, /ratio=\(([\d.]+), ([\d.]+)\)/);
    const [flip] = numbersIn(text, /RandomHorizontalFlip\(p=([\d.]+)\)/);
    expect([narrow, wide]).toEqual([0.75, Number((4 / 3).toFixed(4))]);
    const crop = randomResizedCrop(size, [low, high], [3 / 4, 4 / 3]);
    expectSame(deitTransform({ size: 224 }), compose(crop, horizontalFlip(flip), augment), PHOTO);
  });

  test('up to 32', () => {
    const text: string = golden.train_transform_28;
    const [size, , padding] = numbersIn(text, /RandomCrop\(size=\((\d+), (\d+)\), padding=(\d+)\)/);
    const crop = randomCrop(size, padding);
    const small: ImageSize = { width: 28, height: 28, channels: 1 };
    expectSame(deitTransform({ size: 28 }), compose(crop, horizontalFlip(0.5), augment), small);
  });
});

test('colour jitter only without auto-augment', () => {
  const geometry = compose(randomResizedCrop(40, [0.08, 1], [3 / 4, 4 / 3]), horizontalFlip(0.5));
  const without = deitTransform({ size: 40, autoAugment: null });
  expectSame(without, compose(geometry, colorJitter(0.4)), PHOTO);
  expectSame(deitTransform({ size: 40, autoAugment: null, colorJitter: 0 }), geometry, PHOTO);
  const both = deitTransform({ size: 40, autoAugment: 'rand-m5', colorJitter: 0.9 });
  expectSame(both, deitTransform({ size: 40, autoAugment: 'rand-m5' }), PHOTO);
});

test('every option has its effect', () => {
  const plain = { size: 40, autoAugment: null, colorJitter: 0, flip: 0 };
  const whole = deitTransform({ ...plain, scale: [1, 1], ratio: [9 / 7, 9 / 7], fast: true });
  const box = { left: 0, top: 0, width: 90, height: 70 };
  expect(whole(PHOTO, randomStream([0]))).toEqual([{ op: 'resize', box, width: 40, height: 40, fast: true }]);

  const exact = deitTransform({ ...plain, size: 28, padding: 0 })(
    { ...PHOTO, width: 28, height: 28 },
    randomStream([0]),
  );
  expect(exact).toEqual([{ op: 'crop', box: { left: 0, top: 0, width: 28, height: 28 } }]);

  const flipped = deitTransform({ ...plain, flip: 1 })(PHOTO, randomStream([0]));
  expect(flipped.map(({ op }) => op)).toEqual(['resize', 'flip']);

  const steps = Array.from({ length: 50 }, (_, i) =>
    deitTransform({ size: 40, mean: [0.2, 0.4, 1] })(PHOTO, randomStream([i])),
  ).flat();
  const fills = steps.flatMap((step) => (step.op === 'affine' ? [String(step.fill)] : []));
  expect(new Set(fills)).toEqual(new Set(['51,102,255']));
});

test.each([28, 32, 33, 64])('any photograph gives %i pixels a side', (size) => {
  for (let i = 0; i < 50; i++) {
    const program = deitTransform({ size })(PHOTO, randomStream([i]));
    expect(sizeAfter(PHOTO, program)).toEqual({ width: size, height: size, channels: 3 });
  }
});

test('geometry after the crop refers to the crop, not to the photograph', () => {
  const steps = Array.from({ length: 400 }, (_, i) =>
    deitTransform({ size: 100, autoAugment: 'rand-m10-n1' })(PHOTO, randomStream([i])),
  ).flat();
  const moves = steps.flatMap((step) =>
    step.op === 'affine' && step.matrix[0] === 1 ? [step.matrix[2], step.matrix[5]] : [],
  );
  expect(new Set(moves.filter((move) => move !== 0).map(Math.abs))).toEqual(new Set([45]));
});

test('an invalid policy is an InputError at once', () => {
  expect(() => deitTransform({ size: 224, autoAugment: 'augmix' })).toThrow(InputError);
});
