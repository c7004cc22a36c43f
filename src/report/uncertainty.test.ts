import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { accuracyDifference, accuracyInterval, isLevel, type ScoredImages } from './uncertainty.js';

/** By statsmodels and numpy: test/fixtures/make-uncertainty.py. */
const reference: {
  single: { right: number; images: number; interval: number[] }[];
  independent: { a: [number, number]; b: [number, number]; interval: number[] }[];
  paired: { counts: number[]; interval: number[] }[];
} = JSON.parse(readFileSync('test/fixtures/uncertainty.json', 'utf8'));

function expectInterval(found: readonly number[], expected: readonly number[]): void {
  for (const end of [0, 1]) expect(found[end]).toBeCloseTo(expected[end], 9);
}

/** Two models on the same images: counts of images that both, only a, only b, or neither classifies correctly. */
function pair([both, onlyA, onlyB, neither]: readonly number[]): [ScoredImages, ScoredImages] {
  const hits = (rights: readonly number[]) =>
    Uint8Array.from([both, onlyA, onlyB, neither].flatMap((count, at) => Array(count).fill(rights[at])));
  return [
    [1, 1, 0, 0],
    [1, 0, 1, 0],
  ].map((rights) => {
    const scored = hits(rights);
    return { images: scored.length, right: scored.reduce((sum, hit) => sum + hit, 0), hits: scored };
  }) as [ScoredImages, ScoredImages];
}

test.each(reference.single)("$right of $images right: Wilson's interval", ({ right, images, interval }) => {
  expectInterval(accuracyInterval({ right, images }), interval);
});

test.each(reference.independent)('$a against $b, on separate images', ({ a, b, interval }) => {
  const scored = ([right, images]: readonly number[]) => ({ right, images });
  const found = accuracyDifference(scored(a), scored(b));
  expectInterval(found.interval, interval);
  expect(found).toMatchObject({ isPaired: false, points: 100 * (a[0] / a[1] - b[0] / b[1]) });
});

test.each(reference.paired)('$counts images of both, of one, of the other, of neither', (each) => {
  const [a, b] = pair(each.counts);
  const found = accuracyDifference(a, b);
  expectInterval(found.interval, each.interval);
  expect(found.isPaired).toBe(true);
  expect(found.points).toBeCloseTo((100 * (each.counts[1] - each.counts[2])) / a.images, 9);
});

test('one image in 60 is not a lead in any comparison; twenty are', () => {
  expect(isLevel(accuracyDifference({ right: 41, images: 60 }, { right: 40, images: 60 }))).toBe(true);
  expect(isLevel(accuracyDifference(...pair([40, 1, 0, 19])))).toBe(true);
  expect(isLevel(accuracyDifference(...pair([38, 3, 2, 17])))).toBe(true);
  expect(isLevel(accuracyDifference({ right: 50, images: 60 }, { right: 30, images: 60 }))).toBe(false);
  expect(isLevel(accuracyDifference(...pair([30, 20, 0, 10])))).toBe(false);
});

test('comparing image by image shows a small lead that the sums do not show', () => {
  const [a, b] = pair([2900, 60, 20, 1020]);
  expect(isLevel(accuracyDifference(a, b))).toBe(false);
  const sums = [a, b].map(({ right, images }) => ({ right, images }));
  expect(isLevel(accuracyDifference(sums[0], sums[1]))).toBe(true);
});

test('different numbers of images are not compared image by image', () => {
  const [a] = pair([3, 1, 1, 5]);
  const [b] = pair([3, 1, 1, 6]);
  expect(accuracyDifference(a, b).isPaired).toBe(false);
});

/**
 * How often the interval contains p - q, for n images, each of which only a classifies correctly with probability p, and only b
 * with probability q.
 */
function coverage(n: number, p: number, q: number): number {
  const logFactorials = [0];
  for (let i = 1; i <= n; i++) logFactorials.push(logFactorials[i - 1] + Math.log(i));
  let covered = 0;
  for (let onlyA = 0; onlyA <= n; onlyA++) {
    for (let onlyB = 0; onlyA + onlyB <= n; onlyB++) {
      const others = n - onlyA - onlyB;
      const { interval } = accuracyDifference(...pair([others, onlyA, onlyB, 0]));
      if (interval[0] > 100 * (p - q) || interval[1] < 100 * (p - q)) continue;
      const ways = logFactorials[n] - logFactorials[onlyA] - logFactorials[onlyB] - logFactorials[others];
      covered += Math.exp(ways + onlyA * Math.log(p) + onlyB * Math.log(q) + others * Math.log(1 - p - q));
    }
  }
  return covered;
}

test.each([
  [60, 0.1, 0.1],
  [60, 0.05, 0.2],
  [40, 0.02, 0.02],
  [30, 0.3, 0.1],
])('of %i images, %d and %d: 95 in 100 intervals hold the true difference', (n, p, q) => {
  const share = coverage(n, p, q);
  expect(share).toBeGreaterThan(0.93);
  expect(share).toBeLessThanOrEqual(1);
});
