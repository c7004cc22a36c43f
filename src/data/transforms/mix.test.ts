import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { goldenJson } from '../../../test/support.js';
import { type RandomStream, randomStream } from '../../base/random.js';
import type { Mix } from '../dataset.js';
import { cutmixBox, drawMix, type MixOptions } from './mix.js';

const DEIT: MixOptions = { mixup: 0.8, cutmix: 1, prob: 1, switch_prob: 0.5 };
const SIZE = { height: 14, width: 14 };

/** A stream that returns the given numbers, then fails. */
function played(uniforms: number[], integers: number[] = []): RandomStream {
  const next = (numbers: number[]) => () => {
    const number = numbers.shift();
    if (number === undefined) throw new Error('drew too often');
    return number;
  };
  return { uniform: next(uniforms), integer: next(integers) };
}

function draws(options: MixOptions, count: number, size = SIZE): (Mix | undefined)[] {
  return Array.from({ length: count }, (_, i) => drawMix(options, size, randomStream(['mix', i])));
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Kolmogorov-Smirnov distance times sqrt(n): above 2.2 for one in 8,000 correct samples. */
function kolmogorov(values: readonly number[], cdf: (x: number) => number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  const distances = sorted.map((x, i) => Math.max((i + 1) / n - cdf(x), cdf(x) - i / n));
  return Math.max(...distances) * Math.sqrt(n);
}

describe('the box of a cutmix', () => {
  // The official code's, on 14 x 14 images. Centres (y, x): what numpy's stream of that seed draws next.
  const centres: Record<number, [y: number, x: number]> = { 2: [8, 7], 6: [0, 9], 10: [1, 10], 13: [0, 3] };
  const cases = goldenJson<{
    mixup_cases: {
      lam_drawn: number;
      lam_target: number;
      bbox_yl_yh_xl_xh?: [number, number, number, number];
      seed_np: number;
    }[];
  }>('g_aug.json').mixup_cases.filter((each) => each.bbox_yl_yh_xl_xh !== undefined);

  test('the official boxes are available', () => {
    expect(cases.map(({ seed_np }) => seed_np)).toEqual([2, 6, 10, 13]);
  });

  test.each(cases)('as the official code, seed $seed_np', (official) => {
    const [y, x] = centres[official.seed_np];
    const [top, bottom, left, right] = official.bbox_yl_yh_xl_xh as number[];
    const box = cutmixBox(official.lam_drawn, SIZE, { y, x });
    expect(box).toEqual({ top, left, height: bottom - top, width: right - left });

    // prob; then d3's Beta(1, 1): x / (x + y) of exponential variates -ln(1 - u).
    const { lam_drawn: lambda } = official;
    const uniforms = [0, 1 - Math.exp(-lambda), 1 - Math.exp(lambda - 1)];
    const mix = drawMix({ ...DEIT, mixup: 0 }, SIZE, played(uniforms, [y, x]));
    expect(mix?.box).toEqual(box);
    expect(mix?.lambda).toBe(official.lam_target);
  });

  test('is inside the image, and has the area 1 - lambda', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(),
        (height, width, key) => {
          const mix = drawMix({ ...DEIT, mixup: 0 }, { height, width }, randomStream([key]));
          if (mix === undefined) return;
          const { box, lambda } = mix;
          if (box === undefined) throw new Error('a cutmix without a box');
          expect(box.top).toBeGreaterThanOrEqual(0);
          expect(box.left).toBeGreaterThanOrEqual(0);
          expect(box.height).toBeGreaterThan(0);
          expect(box.width).toBeGreaterThan(0);
          expect(box.top + box.height).toBeLessThanOrEqual(height);
          expect(box.left + box.width).toBeLessThanOrEqual(width);
          expect(1 - lambda).toBeCloseTo((box.height * box.width) / (height * width), 12);
        },
      ),
    );
  });

  test('its centre is uniform over the image', () => {
    const counts = Array(4 * 3).fill(0);
    const random = randomStream(['centres']);
    const total = 6000;
    for (let i = 0; i < total; i++) {
      const centre: number[] = [];
      const record: RandomStream = {
        uniform: random.uniform,
        integer: (low, high) => {
          centre.push(random.integer(low, high));
          return centre[centre.length - 1];
        },
      };
      drawMix({ ...DEIT, mixup: 0 }, { height: 4, width: 3 }, record);
      const [y, x] = centre;
      counts[y * 3 + x]++;
    }
    // Five standard deviations.
    for (const count of counts) expect(Math.abs(count - total / 12)).toBeLessThan(5 * Math.sqrt(total / 12));
  });
});

describe('the share of the image itself', () => {
  const n = 4000;
  const mixup = (alpha: number) =>
    draws({ ...DEIT, mixup: alpha, cutmix: 0 }, n).map((mix) => mix?.lambda ?? 1);

  test.each<[alpha: number, cdf: (x: number) => number]>([
    [0.5, (x) => (2 / Math.PI) * Math.asin(Math.sqrt(x))],
    [1, (x) => x],
    [2, (x) => 3 * x ** 2 - 2 * x ** 3],
  ])('in mixup is Beta(%f, %f) distributed', (alpha, cdf) => {
    const lambdas = mixup(alpha);
    expect(kolmogorov(lambdas, cdf)).toBeLessThan(2.2);
    // Precise enough to detect an alpha that is a third larger.
    expect(kolmogorov(mixup(alpha * 1.35), cdf)).toBeGreaterThan(2.2);
  });

  test("in mixup at DeiT's 0.8 has the moments of Beta(0.8, 0.8)", () => {
    const lambdas = mixup(0.8);
    const variance = 1 / (4 * (2 * 0.8 + 1));
    const fourth = 3 / (16 * (2 * 0.8 + 1) * (2 * 0.8 + 3));
    expect(Math.abs(mean(lambdas) - 0.5)).toBeLessThan(4 * Math.sqrt(variance / n));
    const squares = lambdas.map((x) => (x - 0.5) ** 2);
    expect(Math.abs(mean(squares) - variance)).toBeLessThan(4 * Math.sqrt((fourth - variance ** 2) / n));
  });

  test('in cutmix is 1 less a clipped box of uniform area', () => {
    // A side s of a unit image is clipped to s (1 - s/4) in the mean; s has the density 2s. So the mean area is the
    // integral of 2s s^2 (1 - s/4)^2. Its variance is below 1/12, that of the box before clipping.
    const areas = draws({ ...DEIT, mixup: 0 }, n, { height: 4096, width: 4096 }).map((mix) =>
      mix === undefined ? 0 : 1 - mix.lambda,
    );
    const expected = 2 * (1 / 4 - 1 / 10 + 1 / 96);
    expect(Math.abs(mean(areas) - expected)).toBeLessThan(4 * Math.sqrt(1 / 12 / n));
  });
});

describe('which batches are mixed and how', () => {
  test('a share `prob` of them, of those a share `switch_prob` with cutmix', () => {
    const n = 4000;
    const mixes = draws({ ...DEIT, prob: 0.6, switch_prob: 0.3 }, n, { height: 224, width: 224 });
    const mixed = mixes.filter((mix) => mix !== undefined);
    const cut = mixed.filter(({ box }) => box !== undefined);
    expect(Math.abs(mixed.length / n - 0.6)).toBeLessThan(4 * Math.sqrt((0.6 * 0.4) / n));
    expect(Math.abs(cut.length / mixed.length - 0.3)).toBeLessThan(4 * Math.sqrt((0.3 * 0.7) / mixed.length));
    expect(draws({ ...DEIT, prob: 0 }, 50).every((mix) => mix === undefined)).toBe(true);
  });

  test('with only one of them on, nothing is drawn to choose', () => {
    // prob; then d3's Beta(1, 1) of two exponential variates, here equal.
    const only = (options: Partial<MixOptions>) =>
      drawMix({ ...DEIT, ...options }, SIZE, played([0, 0.5, 0.5], [7, 7]));
    expect(only({ mixup: 1, cutmix: 0 })).toEqual({ lambda: 0.5 });
    // sqrt(1/2) of 14 is 9, so 8: 64 of 196 pixels.
    expect(only({ mixup: 0, cutmix: 1 })).toEqual({
      lambda: 1 - 64 / 196,
      box: { top: 3, left: 3, width: 8, height: 8 },
    });
  });

  test('with neither on, nothing is drawn at all', () => {
    expect(drawMix({ ...DEIT, mixup: 0, cutmix: 0 }, SIZE, played([]))).toBeUndefined();
  });

  test('a lambda of 1, and a box without pixels, mix nothing', () => {
    expect(drawMix({ ...DEIT, mixup: 1, cutmix: 0 }, SIZE, played([0, 0.5, 0]))).toBeUndefined();
    expect(drawMix({ ...DEIT, mixup: 0 }, SIZE, played([0, 0.5, 0.001], [7, 7]))).toBeUndefined();
  });
});
