import fc from 'fast-check';
import { expect, test } from 'vitest';
import { permutation, randomStream, seedOf } from './random.js';

test('a stream depends only on its key', () => {
  const draw = (key: (string | number)[]) => {
    const stream = randomStream(key);
    return Array.from({ length: 5 }, () => stream.uniform());
  };
  expect(draw([0, 'MT/1', 3, 17])).toEqual(draw([0, 'MT/1', 3, 17]));
  expect(draw([0, 'MT/1', 3, 17])).not.toEqual(draw([0, 'MT/1', 3, 18]));
  expect(draw([0, 'MT/1', 3, 17])).not.toEqual(draw([0, 'MT/13', 17]));
});

test('uniform numbers have the mean and variance of U(0, 1)', () => {
  const n = 20_000;
  const draws = Array.from({ length: n }, (_, i) => randomStream([7, i]).uniform());
  const mean = draws.reduce((a, b) => a + b) / n;
  const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.01);
  expect(Math.abs(variance - 1 / 12)).toBeLessThan(0.005);
});

test('a permutation contains every index once, and depends on the key', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 300 }), fc.integer(), (length, seed) => {
      const order = permutation(length, [seed]);
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
    }),
  );
  expect(permutation(100, [1])).not.toEqual(permutation(100, [2]));
});

test('seeds are safe integers', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.integer())), (key) => {
      expect(Number.isSafeInteger(seedOf(key))).toBe(true);
      expect(seedOf(key)).toBeGreaterThanOrEqual(0);
    }),
  );
});
