import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Dataset } from './dataset.js';
import { epochOrder, subset } from './sampler.js';

describe('epochOrder', () => {
  const key = { seed: 1, phase: 'PT', epoch: 0, shuffle: true };

  test('every index once, another order for each seed, phase and epoch', () => {
    const orders = [key, { ...key, seed: 2 }, { ...key, phase: 'MT/0' }, { ...key, epoch: 1 }].map((each) =>
      epochOrder(100, each),
    );
    for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual([...Array(100).keys()]);
    expect(new Set(orders.map(String)).size).toBe(4);
    expect(epochOrder(100, { ...key })).toEqual(orders[0]);
  });

  test('without shuffling, the order of the data set', () => {
    expect([...epochOrder(4, { ...key, epoch: 7, shuffle: false })]).toEqual([0, 1, 2, 3]);
  });
});

describe('subset', () => {
  const labelled = (labels: number[]): Dataset => ({
    length: labels.length,
    classes: ['a', 'b', 'c'],
    label: (i) => labels[i],
    describe: (i) => `image ${i}`,
    source: () => ({ width: 1, height: 1, channels: 1, data: new Uint8Array(1) }),
  });
  const taken = (dataset: Dataset) => Array.from({ length: dataset.length }, (_, i) => dataset.describe(i));

  test('by hand', () => {
    const dataset = labelled([0, 0, 0, 0, 1, 1, 2]);
    expect(taken(subset(dataset, 3))).toEqual(['image 0', 'image 4', 'image 6']);
    expect(taken(subset(dataset, 5))).toEqual(['image 0', 'image 1', 'image 4', 'image 5', 'image 6']);
    expect(taken(subset(dataset, 6))).toEqual([0, 1, 2, 4, 5, 6].map((i) => `image ${i}`));
    expect(subset(dataset, 7)).toBe(dataset);
    expect(subset(dataset)).toBe(dataset);
  });

  test('as many images as asked for, no class ahead of another by two unless that is used up', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(2), { minLength: 1, maxLength: 40 }), fc.nat(40), (labels, limit) => {
        const dataset = labelled(labels);
        const chosen = subset(dataset, limit);
        expect(chosen.length).toBe(Math.min(limit, labels.length));
        expect(new Set(taken(chosen)).size).toBe(chosen.length);
        const counts = [0, 0, 0];
        for (let i = 0; i < chosen.length; i++) counts[chosen.label(i)]++;
        counts.forEach((count, label) => {
          const all = labels.filter((each) => each === label).length;
          if (count < all) expect(Math.max(...counts) - count).toBeLessThanOrEqual(1);
        });
      }),
    );
  });
});
