import { describe, expect, test } from 'vitest';
import {
  exponentialRates,
  hasDiverged,
  type RatePoint,
  smoothedLosses,
  suggestedRates,
} from './rate-range.js';

test('rates rise by the same factor in every step', () => {
  const rate = exponentialRates({ from: 1e-6, to: 1, steps: 7 });
  for (let step = 0; step < 7; step++) expect(rate(step)).toBeCloseTo(10 ** (step - 6), 12);
  expect(exponentialRates({ from: 0.1, to: 1, steps: 1 })(0)).toBe(0.1);
});

/** A sweep over 1e-6 ... 1 of a loss that is a function of the rate's logarithm. */
function sweep(lossOf: (exponent: number) => number, steps = 200): RatePoint[] {
  const rate = exponentialRates({ from: 1e-6, to: 1, steps });
  return Array.from({ length: steps }, (_, step) => ({
    lr: rate(step),
    loss: lossOf(Math.log10(rate(step))),
  }));
}

test('smoothed losses: the weighted mean of the losses so far', () => {
  const points = [3, 1, 2].map((loss) => ({ lr: 1, loss }));
  const weighted = (0.1 * 2 + 0.09 * 1 + 0.081 * 3) / (0.1 + 0.09 + 0.081);
  const [first, , third] = smoothedLosses(points);
  expect(first).toBeCloseTo(3, 12);
  expect(third).toBeCloseTo(weighted, 12);
});

describe('suggestion', () => {
  const falling = (exponent: number) => 2 - 1 / (1 + Math.exp(-4 * (exponent + 3)));

  test('where the loss falls fastest, to the delay of the average', () => {
    const found = suggestedRates(sweep((exponent) => falling(exponent) + Math.max(0, exponent + 1) ** 2));
    expect(Math.log10(found?.steepest ?? 0)).toBeGreaterThan(-3.2);
    expect(Math.log10(found?.steepest ?? 0)).toBeLessThan(-2.3);
    expect(found?.lowest).toBeGreaterThan(found?.steepest ?? 1);
  });

  test.each<[string, RatePoint[]]>([
    ['rises', sweep((exponent) => 8 + exponent)],
    ['is constant', sweep(() => 1)],
    ['has three points', sweep(falling, 3)],
    ['has no points', []],
    ['is never finite', sweep(() => Number.NaN)],
  ])('none if the loss %s', (_, points) => {
    expect(suggestedRates(points)).toBeUndefined();
  });

  test('an infinite loss at the end does not count', () => {
    const points = sweep(falling);
    expect(suggestedRates([...points, { lr: 2, loss: Number.POSITIVE_INFINITY }])).toEqual(
      suggestedRates(points),
    );
  });
});

test.each<[string, readonly number[], boolean]>([
  ['falling', [3, 2, 1], false],
  ['rising slowly', [1, 1.5, 2], false],
  ['exploding', [1, 1, 200], true],
  ['not finite', [1, 1, Number.NaN], true],
  ['nothing yet', [], false],
])('diverged: %s', (_, losses, expected) => {
  expect(hasDiverged(losses.map((loss) => ({ lr: 1, loss })))).toBe(expected);
});
