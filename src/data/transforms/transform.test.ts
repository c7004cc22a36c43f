import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CHI_SQUARED_LIMIT, chiSquared, countsOf, KS_LIMIT, ksStatistic } from '../../../test/statistics.js';
import { InputError } from '../../base/errors.js';
import { type RandomStream, randomStream } from '../../base/random.js';
import type { Box } from '../dataset.js';
import type { PixelProgram } from './pixels.js';
import {
  compose,
  evalTransform,
  horizontalFlip,
  type ImageSize,
  randomCrop,
  randomResizedCrop,
  roundHalfEven,
  sizeAfter,
  type Transform,
} from './transform.js';

const golden = JSON.parse(readFileSync(new URL('../../../test/golden/g_aug.json', import.meta.url), 'utf8'));

/** A stream that gives these numbers, then fails. */
function scripted(...draws: number[]): RandomStream & { asked: [number, number][]; draws: number[] } {
  const asked: [number, number][] = [];
  const next = () => {
    const drawn = draws.shift();
    if (drawn === undefined) throw new Error('more was drawn than expected');
    return drawn;
  };
  return {
    asked,
    draws,
    uniform: next,
    integer: (low, high) => {
      asked.push([low, high]);
      return next();
    },
  };
}

const sized = (width: number, height: number): ImageSize => ({ width, height, channels: 3 });

/** The box of a program of one step. */
function boxOf([step, ...more]: PixelProgram): Box {
  if (more.length > 0 || (step.op !== 'crop' && step.op !== 'resize')) throw new Error('not one box');
  return step.box;
}

/** What a transform does to images of one size under the first `count` keys. */
function programs(transform: Transform, size: ImageSize, count: number): PixelProgram[] {
  return Array.from({ length: count }, (_, i) => transform(size, randomStream([i])));
}

const uniform = (low: number, high: number) => (x: number) =>
  Math.min(Math.max((x - low) / (high - low), 0), 1);

describe('compose', () => {
  test('each step sees the size that the previous steps produce', () => {
    const seen: ImageSize[] = [];
    const look: Transform = (size) => {
      seen.push(size);
      return [];
    };
    const box = { left: 1, top: 2, width: 7, height: 6 };
    const program = compose(
      look,
      () => [{ op: 'crop', box }, { op: 'flip' }],
      look,
      () => [{ op: 'resize', box, width: 3, height: 4 }],
      look,
    )({ width: 10, height: 9, channels: 1 }, scripted());
    expect(program.map(({ op }) => op)).toEqual(['crop', 'flip', 'resize']);
    expect(seen).toEqual([
      { width: 10, height: 9, channels: 1 },
      { width: 7, height: 6, channels: 1 },
      { width: 3, height: 4, channels: 1 },
    ]);
  });

  test('all steps draw from one stream', () => {
    const crop = randomCrop(28, 4);
    const both = compose(crop, horizontalFlip(0.5))(sized(28, 28), randomStream([5]));
    const stream = randomStream([5]);
    expect(both).toEqual([...crop(sized(28, 28), stream), ...horizontalFlip(0.5)(sized(28, 28), stream)]);
  });

  test('no transforms are no steps, and keep the size', () => {
    expect(compose()(sized(3, 4), scripted())).toEqual([]);
    expect(sizeAfter(sized(3, 4), [{ op: 'flip' }, { op: 'invert' }])).toEqual(sized(3, 4));
  });
});

describe('randomCrop', () => {
  test('by hand: 3 x 2 padded by 1, crop of 2', () => {
    const random = scripted(0, 3);
    expect(randomCrop(2, 1)(sized(3, 2), random)).toEqual([
      { op: 'crop', box: { left: 2, top: -1, width: 2, height: 2 } },
    ]);
    expect(random.asked).toEqual([
      [0, 2],
      [0, 3],
    ]);
  });

  test('every position of a 28 px crop padded by 4 is equally likely', () => {
    const boxes = programs(randomCrop(28, 4), sized(28, 28), 8100).map(boxOf);
    const offsets = [-4, -3, -2, -1, 0, 1, 2, 3, 4];
    const places = offsets.flatMap((top) => offsets.map((left) => `${top} ${left}`));
    const counts = countsOf(
      places,
      boxes.map(({ top, left }) => `${top} ${left}`),
    );
    // 80 degrees of freedom.
    expect(chiSquared(counts, new Array(81).fill(1 / 81))).toBeLessThan(124.84);
  });

  test('the crop is inside the padded image', () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(side, side, fc.nat(8), fc.nat(), (width, height, padding, seed) => {
        const size = Math.min(width, height) + padding;
        const box = boxOf(randomCrop(size, padding)(sized(width, height), randomStream([seed])));
        expect([box.width, box.height]).toEqual([size, size]);
        expect(Math.min(box.left, box.top)).toBeGreaterThanOrEqual(-padding);
        expect(box.left + size).toBeLessThanOrEqual(width + padding);
        expect(box.top + size).toBeLessThanOrEqual(height + padding);
      }),
    );
  });

  test('an image that is too small is an InputError with both sizes', () => {
    const small = () => randomCrop(28, 4)(sized(19, 28), scripted());
    expect(small).toThrow(InputError);
    expect(small).toThrow(/19 x 28.* 28 x 28/);
  });
});

describe('horizontalFlip', () => {
  test('below its probability', () => {
    expect(horizontalFlip(0.5)(sized(3, 2), scripted(0.49))).toEqual([{ op: 'flip' }]);
    expect(horizontalFlip(0.5)(sized(3, 2), scripted(0.5))).toEqual([]);
    expect(horizontalFlip(1)(sized(3, 2), scripted(0.999))).toEqual([{ op: 'flip' }]);
    expect(horizontalFlip(0)(sized(3, 2), scripted(0))).toEqual([]);
  });

  test.each([0.5, 0.1])('happens to %d of the images', (probability) => {
    const flips = programs(horizontalFlip(probability), sized(3, 2), 10_000).map(({ length }) => length);
    const counts = countsOf([0, 1], flips);
    expect(chiSquared(counts, [1 - probability, probability])).toBeLessThan(CHI_SQUARED_LIMIT[1]);
  });
});

describe('randomResizedCrop', () => {
  const transform = randomResizedCrop(8, [0.08, 1], [3 / 4, 4 / 3]);

  test('by hand: half the area, square, at (3, 5)', () => {
    const random = scripted((0.5 - 0.08) / 0.92, 0.5, 3, 5);
    const box = { left: 5, top: 3, width: 13, height: 13 };
    expect(transform(sized(20, 16), random)).toEqual([
      { op: 'resize', box, width: 8, height: 8, fast: false },
    ]);
    expect(random.asked).toEqual([
      [0, 3],
      [0, 7],
    ]);
  });

  test('fast decoding is used only on request', () => {
    const fast = randomResizedCrop(8, [0.08, 1], [3 / 4, 4 / 3], { fast: true });
    const [image, key] = [sized(20, 16), [3]];
    expect(fast(image, randomStream(key))).toEqual([
      { ...transform(image, randomStream(key))[0], fast: true },
    ]);
  });

  test.each([
    [60, 9, { left: 24, top: 0, width: 12, height: 9 }],
    [9, 60, { left: 0, top: 24, width: 9, height: 12 }],
    [10, 9, { left: 0, top: 0, width: 10, height: 9 }],
  ])('after ten tries that do not fit, %i x %i gives the centre', (width, height, box) => {
    const random = scripted(...Array.from({ length: 10 }, () => [0.999, width === 10 ? 0.999 : 0.5]).flat());
    expect(boxOf(transform(sized(width, height), random))).toEqual(box);
    expect(random.draws).toEqual([]);
  });

  test('the region is inside the image and not empty, even for one pixel', () => {
    const side = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(side, side, fc.nat(), (width, height, seed) => {
        const box = boxOf(transform(sized(width, height), randomStream([seed])));
        expect(Math.min(box.left, box.top)).toBeGreaterThanOrEqual(0);
        expect(Math.min(box.width, box.height)).toBeGreaterThan(0);
        expect(box.left + box.width).toBeLessThanOrEqual(width);
        expect(box.top + box.height).toBeLessThanOrEqual(height);
      }),
    );
  });

  describe('the distribution of its regions, in a square so large that rounding does not matter', () => {
    const side = 1e6;
    const boxes = programs(transform, sized(side, side), 20_000).map(boxOf);
    // A part of area a and log-ratio u is drawn uniformly from [0.08, 1] x [-most, most], and kept where it fits
    // the square: a <= exp(-|u|).
    const most = Math.log(4 / 3);

    test('areas', () => {
      const areas = boxes.map(({ width, height }) => (width * height) / side ** 2);
      // Kept of area a: 2 min(most, -ln a). Its integral from 0.08:
      const kept = (a: number) => {
        const above = Math.max(a, 3 / 4);
        const integral = (x: number) => x - x * Math.log(x);
        return most * (Math.min(a, 3 / 4) - 0.08) + integral(above) - integral(3 / 4);
      };
      expect(Math.min(...areas)).toBeGreaterThan(0.0799);
      expect(ksStatistic(areas, (a) => kept(a) / kept(1))).toBeLessThan(KS_LIMIT);
    });

    test('ratios', () => {
      const logs = boxes.map(({ width, height }) => Math.log(width / height));
      // Kept of log-ratio u: exp(-|u|) - 0.08. Its integral from 0:
      const kept = (u: number) => Math.sign(u) * (1 - Math.exp(-Math.abs(u)) - 0.08 * Math.abs(u));
      expect(ksStatistic(logs, (u) => (1 + kept(u) / kept(most)) / 2)).toBeLessThan(KS_LIMIT);
    });

    test('places', () => {
      const lefts = boxes.map(({ left, width }) => left / (side - width + 1));
      const tops = boxes.map(({ top, height }) => top / (side - height + 1));
      expect(ksStatistic(lefts, uniform(0, 1))).toBeLessThan(KS_LIMIT);
      expect(ksStatistic(tops, uniform(0, 1))).toBeLessThan(KS_LIMIT);
    });
  });

  test('for a photograph, areas and ratios are in range', () => {
    const boxes = programs(transform, sized(500, 375), 2000).map(boxOf);
    for (const { width, height } of boxes) {
      // Sides are rounded to whole pixels: half a pixel of at least 106.
      expect((width * height) / (500 * 375)).toBeGreaterThan(0.08 * 0.99);
      expect(width / height).toBeGreaterThan((3 / 4) * 0.99);
      expect(width / height).toBeLessThan((4 / 3) * 1.01);
    }
  });
});

describe('evalTransform', () => {
  test('up to 32 px an image passes unchanged, or is an error with both sizes', () => {
    expect(golden.eval_transform_28).not.toMatch(/Resize|Crop/);
    expect(evalTransform(28)(sized(28, 28))).toEqual([]);
    const other = () => evalTransform(28)(sized(32, 28));
    expect(other).toThrow(InputError);
    expect(other).toThrow(/32 x 28.* 28 x 28/);
  });

  test.each(Object.entries<number>(golden.eval_resize_size))('%s: shorter side to %i', (key, shorter) => {
    const size = Number(key);
    const [resize, crop] = evalTransform(size)(sized(2000, 1001));
    const width = Math.floor((shorter * 2000) / 1001);
    const box = { left: 0, top: 0, width: 2000, height: 1001 };
    expect(resize).toEqual({ op: 'resize', box, width, height: shorter });
    const top = roundHalfEven((shorter - size) / 2);
    const left = roundHalfEven((width - size) / 2);
    expect(crop).toEqual({ op: 'crop', box: { left, top, width: size, height: size } });
    expect(evalTransform(size)(sized(1001, 2000))[0]).toMatchObject({ width: shorter, height: width });
  });

  test('the official share is the official formula at every size', () => {
    for (let size = 33; size <= 2048; size++) {
      const [resize] = evalTransform(size)(sized(1, 1));
      expect(resize).toMatchObject({ width: Math.trunc((256 / 224) * size) });
    }
  });

  // timm: floor(size / crop_pct).
  test.each([
    [224, 0.9, 248],
    [384, 0.9, 426],
    [384, 1, 384],
    [224, 0.95, 235],
  ])('%i px at crop_pct %d: shorter side to %i', (size, share, shorter) => {
    const [resize, crop] = evalTransform(size, share)(sized(2000, 1000));
    expect(resize).toMatchObject({ op: 'resize', width: 2 * shorter, height: shorter });
    const [left, top] = [2 * shorter - size, shorter - size].map((rest) => roundHalfEven(rest / 2));
    expect(crop).toEqual({ op: 'crop', box: { left, top, width: size, height: size } });
  });

  test('an image whose shorter side already has that size is only cropped, at half-even offsets', () => {
    // Offsets of 3.5 and 2.5.
    expect(evalTransform(35)(sized(42, 40))).toEqual([
      { op: 'crop', box: { left: 4, top: 2, width: 35, height: 35 } },
    ]);
    expect(evalTransform(56)(sized(64, 67))).toEqual([
      { op: 'crop', box: { left: 4, top: 6, width: 56, height: 56 } },
    ]);
  });
});

test.each([
  [0.5, 0],
  [1.5, 2],
  [2.5, 2],
  [2.51, 3],
  [-0.5, 0],
  [-1.5, -2],
  [7, 7],
])('roundHalfEven(%d) is %d, as Python says', (x, rounded) => {
  expect(roundHalfEven(x) + 0).toBe(rounded);
});
