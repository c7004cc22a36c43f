import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { randomStream } from '../../base/random.js';
import type { Box } from '../dataset.js';
import { drawErasing } from './erase.js';

const N = 4000;
const SIZE = { height: 224, width: 224 };

function draws(probability: number, size = SIZE): (Box | undefined)[] {
  return Array.from({ length: N }, (_, i) => drawErasing({ probability }, size, randomStream(['erase', i])));
}

const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

/** Distance of the mean from what is expected, in standard errors of values with that variance. */
function errors(values: readonly number[], expected: number, variance: number): number {
  return Math.abs(mean(values) - expected) / Math.sqrt(variance / values.length);
}

function isBox(box: Box | undefined): box is Box {
  return box !== undefined;
}

describe('drawErasing', () => {
  test('erases a share `probability` of the images', () => {
    const erased = draws(0.25).map((box) => (box === undefined ? 0 : 1));
    expect(errors(erased, 0.25, 0.25 * 0.75)).toBeLessThan(4);
    expect(draws(0).some(isBox)).toBe(false);
    expect(draws(1).every(isBox)).toBe(true);
  });

  test('area uniform in 2 ... 33 %, log aspect in +-ln 0.3, if the box fits', () => {
    // A box has to be drawn again if ln(height / width) leaves +-(-ln area share): none below a share of 0.3.
    const boxes = draws(1).filter(isBox);
    const shares = boxes.map(({ width, height }) => (width * height) / 224 ** 2);
    const small = shares.filter((share) => share < 0.29);
    // Rounding of the sides moves a share by less than 0.004.
    expect(Math.min(...shares)).toBeGreaterThan(0.016);
    expect(Math.max(...shares)).toBeLessThan(1 / 3 + 0.004);
    expect(errors(small, (0.02 + 0.29) / 2, 0.27 ** 2 / 12)).toBeLessThan(4);
    // The fourth of them below each quarter.
    for (const quarter of [1, 2, 3]) {
      const below = small.map((share) => (share < 0.02 + (0.27 * quarter) / 4 ? 1 : 0));
      expect(errors(below, quarter / 4, 0.1875)).toBeLessThan(4);
    }

    const aspects = boxes
      .filter((_, i) => shares[i] < 0.29)
      .map(({ width, height }) => Math.log(height / width));
    const bound = -Math.log(0.3);
    expect(Math.max(...aspects.map(Math.abs))).toBeLessThan(bound + 0.06);
    expect(errors(aspects, 0, bound ** 2 / 3)).toBeLessThan(4);
    // The fourth moment less the square of the second: 1/5 - 1/9.
    const squares = aspects.map((x) => x ** 2);
    expect(errors(squares, bound ** 2 / 3, (4 / 45) * bound ** 4)).toBeLessThan(4);
  });

  test('a place is as probable as any other', () => {
    const boxes = draws(1).filter(isBox);
    const places = (at: (box: Box) => number, side: (box: Box) => number) =>
      boxes.map((box) => (at(box) + 0.5) / (224 - side(box) + 1));
    const tops = places(
      ({ top }) => top,
      ({ height }) => height,
    );
    const lefts = places(
      ({ left }) => left,
      ({ width }) => width,
    );
    expect(errors(tops, 0.5, 1 / 12)).toBeLessThan(4);
    expect(errors(lefts, 0.5, 1 / 12)).toBeLessThan(4);
    const covariance = tops.map((top, i) => (top - 0.5) * (lefts[i] - 0.5));
    expect(errors(covariance, 0, 1 / 144)).toBeLessThan(4);
  });

  test('a box is not empty, and lower and narrower than the image', () => {
    const side = fc.integer({ min: 1, max: 40 });
    fc.assert(
      fc.property(side, side, fc.nat(), (height, width, key) => {
        const box = drawErasing({ probability: 1 }, { height, width }, randomStream([key]));
        if (box === undefined) return;
        expect(box.height).toBeGreaterThan(0);
        expect(box.width).toBeGreaterThan(0);
        expect(box.height).toBeLessThan(height);
        expect(box.width).toBeLessThan(width);
        expect(box.top).toBeGreaterThanOrEqual(0);
        expect(box.left).toBeGreaterThanOrEqual(0);
        expect(box.top + box.height).toBeLessThanOrEqual(height);
        expect(box.left + box.width).toBeLessThanOrEqual(width);
      }),
      { numRuns: 500 },
    );
  });

  test('a box that does not fit is drawn again, at most ten times', () => {
    // In a stripe of 4 x 400, half the area and a square is 28 x 28.
    let drawn = 0;
    const random = { uniform: () => [0, 0.5][Math.min(drawn++, 1)], integer: (low: number) => low };
    const options = { probability: 1, min_area: 0.5, max_area: 0.5 };
    expect(drawErasing(options, { height: 4, width: 400 }, random)).toBeUndefined();
    expect(drawn).toBe(1 + 2 * 10);

    // Area 0.02 of 10,000 and 0.3 of an aspect: sqrt(60) by sqrt(200 / 0.3).
    drawn = 0;
    const least = { ...random, uniform: () => 0 };
    expect(drawErasing({ probability: 1 }, { height: 100, width: 100 }, least)).toEqual({
      top: 0,
      left: 0,
      height: 8,
      width: 26,
    });
    const last = { ...least, integer: (_: number, high: number) => high };
    expect(drawErasing({ probability: 1 }, { height: 100, width: 100 }, last)).toMatchObject({
      top: 92,
      left: 74,
    });
  });
});
