import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { mersenne } from 'pure-rand/generator/mersenne';
import { describe, expect, test } from 'vitest';
import { CHI_SQUARED_LIMIT, chiSquared } from '../../../test/statistics.js';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../dataset.js';
import { classSubset, epochOrder, repeatedOrder, subset } from './sampler.js';

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

describe('repeatedOrder', () => {
  interface Golden {
    length: number;
    num_repeats: number;
    /** By epoch. */
    randperm: Record<string, number[]>;
    /** By replicas, epoch, rank. */
    indices: Record<string, Record<string, number[][]>>;
  }
  const golden: Golden = JSON.parse(
    readFileSync(new URL('../../../test/golden/f_rasampler.json', import.meta.url), 'utf8'),
  );
  const counting = (length: number) => Int32Array.from({ length }, (_, i) => i);

  /** torch.randperm on the CPU, as recorded in the golden case. */
  function randperm(length: number, seed: number): number[] {
    const generator = mersenne(seed);
    const order = Array.from({ length }, (_, i) => i);
    for (let i = 0; i < length - 1; i++) {
      const j = i + ((generator.next() >>> 0) % (length - i));
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  }

  test.each(Object.keys(golden.randperm))(
    "torch's order of epoch %s, from which the cases were made",
    (epoch) => {
      expect(randperm(golden.length, Number(epoch))).toEqual(golden.randperm[epoch]);
    },
  );

  const cases = Object.entries(golden.indices).flatMap(([replicas, epochs]) =>
    Object.entries(epochs).flatMap(([epoch, ranks]) =>
      ranks.map((expected, rank) => ({ replicas: Number(replicas), epoch, rank, expected })),
    ),
  );

  test.each(cases)(
    'golden: $replicas replicas, epoch $epoch, rank $rank',
    ({ replicas, epoch, rank, expected }) => {
      const order = Int32Array.from(golden.randperm[epoch]);
      const { indices } = repeatedOrder(order, { repeats: golden.num_repeats, replicas, rank });
      expect([...indices]).toEqual(expected);
    },
  );

  test('by hand: one replica sees the views of an image one after another, three share them', () => {
    const alone = repeatedOrder(counting(256), { repeats: 3, replicas: 1, rank: 0 });
    expect(alone.indices).toHaveLength(256);
    expect([...alone.indices.slice(0, 7)]).toEqual([0, 0, 0, 1, 1, 1, 2]);
    expect([...alone.views.slice(0, 7)]).toEqual([0, 1, 2, 0, 1, 2, 0]);
    const second = repeatedOrder(counting(256), { repeats: 3, replicas: 3, rank: 1 });
    expect([...second.indices]).toEqual([...counting(85)]);
    expect([...second.views]).toEqual(new Array(85).fill(1));
  });

  test('over all replicas, no view appears twice, and only views at the end are missing', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 256, max: 1500 }),
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 9 }),
        (length, repeats, replicas) => {
          const seen = new Set<string>();
          for (let rank = 0; rank < replicas; rank++) {
            const { indices, views } = repeatedOrder(counting(length), { repeats, replicas, rank });
            expect(indices.length).toBe(Math.floor((length - (length % 256)) / replicas));
            expect(views.length).toBe(indices.length);
            indices.forEach((index, i) => {
              seen.add(`${index} ${views[i]}`);
            });
          }
          const all = replicas * Math.floor((length - (length % 256)) / replicas);
          const expected = Array.from({ length: all }, (_, i) => `${Math.floor(i / repeats)} ${i % repeats}`);
          expect(seen).toEqual(new Set(expected));
        },
      ),
      { numRuns: 30 },
    );
  });

  test.each([
    [255, 1, 256],
    [0, 1, 256],
    [300, 300, 512],
  ])('%i images over %i replicas are an InputError with the required number', (length, replicas, least) => {
    const run = () => repeatedOrder(counting(length), { repeats: 3, replicas, rank: 0 });
    expect(run).toThrow(InputError);
    expect(run).toThrow(`${length} are too few`);
    expect(run).toThrow(
      expect.objectContaining({ hint: expect.stringContaining(`at least ${least} training images`) }),
    );
    expect(repeatedOrder(counting(least), { repeats: 3, replicas, rank: 0 }).indices.length).toBeGreaterThan(
      0,
    );
  });
});

const labelled = (labels: number[]): Dataset => ({
  length: labels.length,
  classes: ['a', 'b', 'c'],
  label: (i) => labels[i],
  describe: (i) => `image ${i}`,
  source: () => ({ width: 1, height: 1, channels: 1, data: new Uint8Array(1) }),
});
const taken = (dataset: Dataset) => Array.from({ length: dataset.length }, (_, i) => dataset.describe(i));

describe('subset', () => {
  test('by hand', () => {
    const dataset = labelled([0, 0, 0, 0, 1, 1, 2]);
    expect(taken(subset(dataset, 3))).toEqual(['image 0', 'image 4', 'image 6']);
    expect(taken(subset(dataset, 5))).toEqual(['image 0', 'image 1', 'image 4', 'image 5', 'image 6']);
    expect(taken(subset(dataset, 6))).toEqual([0, 1, 2, 4, 5, 6].map((i) => `image ${i}`));
    expect(subset(dataset, 7)).toBe(dataset);
    expect(subset(dataset)).toBe(dataset);
  });

  test('as many images as requested; class counts differ by at most one unless a class runs out', () => {
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

describe('classSubset', () => {
  // 40 of class 0, 20 of class 1, 5 of class 2, in turn.
  const mixed = Array.from({ length: 40 }, (_, i) => [
    0,
    ...(i % 2 ? [1] : []),
    ...(i % 8 ? [] : [2]),
  ]).flat();
  const dataset = labelled(mixed);

  const countsIn = ({ length, label }: Dataset) => {
    const counts = [0, 0, 0];
    for (let i = 0; i < length; i++) counts[label(i)]++;
    return counts;
  };

  test.each([
    [1, [40, 20, 5]],
    [0.5, [20, 10, 3]],
    [0.25, [10, 5, 1]],
    [0.1, [4, 2, 1]],
    [0.001, [1, 1, 1]],
  ])('a share of %d of each class, rounded, one at least', (fraction, counts) => {
    expect(countsIn(classSubset(dataset, fraction, 3))).toEqual(counts);
  });

  test('lists its images in order, and contains only those', () => {
    const half = classSubset(dataset, 0.5, 3);
    expect([...half.indices]).toEqual([...half.indices].sort((a, b) => a - b));
    expect(new Set(half.indices).size).toBe(half.length);
    expect(taken(half)).toEqual(Array.from(half.indices, (i) => `image ${i}`));
    expect(Array.from(half.indices, (_, i) => half.label(i))).toEqual(
      Array.from(half.indices, (i) => mixed[i]),
    );
    expect(half.classes).toBe(dataset.classes);
    expect([...classSubset(dataset, 1, 3).indices]).toEqual([...mixed.keys()]);
  });

  test('is a function of seed and fraction, and nested', () => {
    const share = fc.double({ min: 0.001, max: 1, noNaN: true });
    fc.assert(
      fc.property(share, share, fc.nat(), (a, b, seed) => {
        const small = classSubset(dataset, Math.min(a, b), seed);
        const large = classSubset(dataset, Math.max(a, b), seed);
        expect(classSubset(labelled(mixed), Math.min(a, b), seed).indices).toEqual(small.indices);
        expect([...small.indices].every((i) => large.indices.includes(i))).toBe(true);
      }),
    );
    expect(classSubset(dataset, 0.5, 3).indices).not.toEqual(classSubset(dataset, 0.5, 4).indices);
  });

  test('each image is equally likely', () => {
    const counts = new Array(10).fill(0);
    for (let seed = 0; seed < 2000; seed++) {
      const { indices } = classSubset(labelled(new Array(10).fill(0)), 0.1, seed);
      counts[indices[0]]++;
    }
    expect(chiSquared(counts, new Array(10).fill(0.1))).toBeLessThan(CHI_SQUARED_LIMIT[9]);
  });

  test('a class without images stays empty', () => {
    expect(countsIn(classSubset(labelled([0, 0, 2]), 0.5, 1))).toEqual([1, 0, 1]);
    expect(classSubset(labelled([]), 0.5, 1).length).toBe(0);
  });

  test.each([0, -0.5, 1.01, 25, Number.NaN])('a fraction of %d is an InputError', (fraction) => {
    expect(() => classSubset(dataset, fraction, 1)).toThrow(InputError);
    expect(() => classSubset(dataset, fraction, 1)).toThrow(String(fraction));
  });
});
