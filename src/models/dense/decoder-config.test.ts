import { expect, test } from 'vitest';
import { mapSize } from './decoder-config.js';

test('a map of the neck has at least one place, also for an image of one row of patches', () => {
  expect([0, 1, 2, 3].map((map) => mapSize([1, 12], map))).toEqual([
    [4, 48],
    [2, 24],
    [1, 12],
    [1, 6],
  ]);
  expect(mapSize([5, 1], 3)).toEqual([2, 1]);
});
