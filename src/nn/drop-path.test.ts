import { describe, expect, test, vi } from 'vitest';
import { ones, to } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { dropPath, dropPathOf } from './layers.js';

const generator = new Generator();
const SAMPLES = 20_000;

/** Row by row, the values of dropPath on ones [SAMPLES, 2, 3]. */
function rows(rate: number, dtype: 'F32' | 'F64' | 'BF16' = 'F32', seed = 0): number[][] {
  return scope(() => {
    const x = to(ones([SAMPLES, 2, 3]), { dtype });
    const values = to(dropPath(x, rate, generator.seed(['test', seed])), { dtype: 'F64' }).toFloat64Array();
    return Array.from({ length: SAMPLES }, (_, i) => Array.from(values.subarray(6 * i, 6 * i + 6)));
  });
}

test.each([0.1, 0.5, 0.9])('rate %d: zeroes whole samples at that rate, and keeps the mean', (rate) => {
  const drawn = rows(rate);
  expect(drawn.every((row) => new Set(row).size === 1)).toBe(true);
  expect(new Set(drawn.flat())).toEqual(new Set([0, Math.fround(1 / (1 - rate))]));
  const dropped = drawn.map(([value]) => value === 0);
  const frequency = dropped.filter(Boolean).length / SAMPLES;
  const deviation = Math.sqrt((rate * (1 - rate)) / SAMPLES);
  expect(Math.abs(frequency - rate)).toBeLessThan(4 * deviation);
});

test('depends on the seed, and draws again at every call', () => {
  expect(rows(0.5)).toEqual(rows(0.5));
  expect(rows(0.5, 'F32', 1)).not.toEqual(rows(0.5));
  generator.seed(['calls']);
  const x = ones([100, 1]);
  const [first, second] = [0, 1].map(() =>
    scope(() => Array.from(dropPath(x, 0.5, generator).toFloat32Array())),
  );
  expect(first).not.toEqual(second);
});

test('scales bfloat16 by the exact factor: its own nearest to 1/0.9 is 0.16 % off', () => {
  const kept = rows(0.1, 'BF16')
    .flat()
    .filter((value) => value !== 0);
  expect(kept[0]).toBe(Math.fround(1 / 0.9));
});

test('works in float64', () => {
  const kept = rows(0.1, 'F64')
    .flat()
    .filter((value) => value !== 0);
  expect(kept[0]).toBe(1 / 0.9);
});

describe('of a block', () => {
  const x = ones([200, 1]);
  /** What two branches become, one after the other. */
  const branches = (key: (string | number)[], rate = 0.5, training = true) =>
    scope(() => {
      const drop = dropPathOf(rate, { training, generator, key });
      return [0, 1].map(() => Array.from(drop(x).toFloat32Array()));
    });

  test('depends only on the key; the two branches are independent', () => {
    const [first, second] = branches(['a', 0]);
    expect(first).not.toEqual(second);
    scope(() => dropPath(x, 0.5, generator));
    expect(branches(['a', 0])).toEqual([first, second]);
    const [other, another] = branches(['a', 1]);
    for (const mask of [other, another]) {
      expect(mask).not.toEqual(first);
      expect(mask).not.toEqual(second);
    }
  });

  test.each([
    ['at rate 0', 0, true],
    ['in evaluation', 0.5, false],
  ])('%s the branch is itself, and nothing is drawn', (_when, rate, training) => {
    const seed = vi.spyOn(generator, 'seed');
    const drop = dropPathOf(rate, { training, generator, key: [] });
    expect(drop(x)).toBe(x);
    expect(seed).not.toHaveBeenCalled();
    seed.mockRestore();
  });
});
