import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { digestOf, imageOf, type Kind } from '../../../test/pixel-images.js';
import { CHI_SQUARED_LIMIT, chiSquared, countsOf, KS_LIMIT, ksStatistic } from '../../../test/statistics.js';
import { InputError } from '../../base/errors.js';
import { type RandomStream, randomStream } from '../../base/random.js';
import { parsePolicy, randAugment } from './auto-augment.js';
import { colorJitter, deitTransform, simpleRandomCrop, threeAugment } from './deit-transform.js';
import type { PixelProgram, PixelStep } from './pixels.js';
import { runProgram } from './run-program.js';
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

type Step = 'grey' | 'solarize' | number;
type Place = Record<'size' | 'padding' | 'top' | 'left', number>;
interface Digests {
  readonly grey: string;
  readonly rgb: string;
}

/** Made by test/fixtures/make-three-augment.py with the functions that DeiT-III's code calls. */
const fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/three-augment.json', import.meta.url), 'utf8'),
) as {
  one_of_three: ({ image: [Kind, number, number]; step: Step } & Digests)[];
  crops: ({ image: [Kind, number, number] } & Place & Digests)[];
  pipelines: ({
    image: [Kind, number, number];
    flip: boolean;
    step: Step;
    jitter: ['brightness' | 'contrast' | 'color', number][];
    rgb: string;
  } & Place)[];
};

function stepOf(step: Step): PixelStep {
  if (step === 'grey') return { op: 'color', factor: 0 };
  return step === 'solarize' ? { op: 'solarize', threshold: 128 } : { op: 'gaussianBlur', radius: step };
}

/** The crop's draws: first that of the top, then that of the left. */
function drawing({ top, left, padding }: Place): RandomStream {
  const draws = [top + padding, left + padding];
  return { uniform: () => Number.NaN, integer: () => draws.shift() as number };
}

function cropOf(image: readonly [Kind, number, number], place: Place, channels: 1 | 3): PixelProgram {
  const [, width, height] = image;
  return simpleRandomCrop(place.size, place.padding)({ width, height, channels }, drawing(place));
}

describe('the same bytes as torchvision and Pillow', () => {
  test.each(fixture.one_of_three)('$step of $image', ({ image, step, grey, rgb }) => {
    expect(digestOf(runProgram(imageOf(...image, 1), [stepOf(step)]))).toBe(grey);
    expect(digestOf(runProgram(imageOf(...image, 3), [stepOf(step)]))).toBe(rgb);
  });

  test.each(fixture.crops)('crop $size at $top, $left of $image', ({ image, grey, rgb, ...place }) => {
    expect(digestOf(runProgram(imageOf(...image, 1), cropOf(image, place, 1)))).toBe(grey);
    expect(digestOf(runProgram(imageOf(...image, 3), cropOf(image, place, 3)))).toBe(rgb);
  });

  test.each(fixture.pipelines)(
    'all of it: $step of $image',
    ({ image, flip, step, jitter, rgb, ...place }) => {
      const program: PixelProgram = [
        ...cropOf(image, place, 3),
        ...(flip ? [{ op: 'flip' } as const] : []),
        stepOf(step),
        ...jitter.map(([op, factor]) => ({ op, factor })),
      ];
      expect(digestOf(runProgram(imageOf(...image, 3), program))).toBe(rgb);
    },
  );
});

test('each of the three is equally likely, and the radius is uniform from 0.1 to 2', () => {
  const steps = Array.from({ length: 9000 }, (_, i) => threeAugment()(PHOTO, randomStream([i]))).flat();
  expect(steps).toHaveLength(9000);
  const counts = countsOf(
    ['color', 'solarize', 'gaussianBlur'],
    steps.map(({ op }) => op),
  );
  expect(chiSquared(counts, new Array(3).fill(1 / 3))).toBeLessThan(CHI_SQUARED_LIMIT[5]);
  const radii = steps.flatMap((step) => (step.op === 'gaussianBlur' ? [step.radius] : []));
  expect(ksStatistic(radii, (x) => Math.min(Math.max((x - 0.1) / 1.9, 0), 1))).toBeLessThan(KS_LIMIT);
});

test('a simple crop is uniform over the padded image', () => {
  const places = Array.from({ length: 3000 }, (_, i) => {
    const step = simpleRandomCrop(35, 4)(PHOTO, randomStream([i])).at(-1);
    return step?.op === 'cropReflected' ? [step.box.top, step.box.left] : [];
  });
  for (const [at, last] of [
    [0, 4],
    [1, 14],
  ]) {
    const found = new Set(places.map((place) => place[at]));
    expect([...found].sort((a, b) => a - b)).toEqual(Array.from({ length: last + 5 }, (_, i) => i - 4));
  }
});

test.each([
  [28, randomCrop(28, 4), { width: 28, height: 28, channels: 1 as const }],
  [40, randomResizedCrop(40, [0.08, 1], [3 / 4, 4 / 3]), PHOTO],
])('at %i px, DeiT-III is crop, flip, one of three, colour jitter', (size, crop, image) => {
  const ours = deitTransform({ size, threeAugment: true, colorJitter: 0.3 });
  const theirs = compose(crop, horizontalFlip(0.5), threeAugment(), colorJitter(0.3));
  const simple = deitTransform({ size, threeAugment: true, colorJitter: 0.3, crop: 'simple' });
  for (let i = 0; i < 30; i++) {
    expect(ours(image, randomStream([i]))).toEqual(theirs(image, randomStream([i])));
    const program = simple(image, randomStream([i]));
    expect(sizeAfter(image, program)).toEqual({ ...image, width: size, height: size });
    expect(program.some(({ op }) => op === 'cropReflected')).toBe(true);
  }
});

test('3-Augment and RandAugment together are refused', () => {
  const call = () => deitTransform({ size: 40, threeAugment: true, autoAugment: 'rand-m9' });
  expect(call).toThrow(InputError);
  expect(call).toThrow('3-Augment and RandAugment cannot be combined');
});

test('a radius out of range is refused', () => {
  for (const radius of [-1, 1001, Number.NaN]) {
    expect(() => runProgram(imageOf('noise', 4, 4, 3), [{ op: 'gaussianBlur', radius }])).toThrow(
      'gaussianBlur: operand 0',
    );
  }
});
