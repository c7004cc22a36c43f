import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { collect, dataset, options } from '../../../test/loader-images.js';
import type { Batch, Dataset } from '../dataset.js';
import { trainBatches } from './loader.js';
import { balancedOrder, indicesByClass, viewNumbers } from './sampler.js';

// Made by test/fixtures/make-class-weights.py: what torch's WeightedRandomSampler draws.
const { sampling }: { sampling: { counts: number[]; share: number[] } } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/class-weights.json', import.meta.url), 'utf8'),
);
const labels = sampling.counts.flatMap((count, label) => new Array<number>(count).fill(label));
const byClass = sampling.counts.map((_, label) => [...labels.keys()].filter((i) => labels[i] === label));

test("every image is drawn as often as by torch's WeightedRandomSampler with weights 1 / (images of its class)", () => {
  const drawn = new Array<number>(labels.length).fill(0);
  const draws = 60_000;
  for (const index of balancedOrder(byClass, draws, { seed: 0, phase: 'PT', epoch: 0 })) drawn[index]++;
  for (const [i, count] of drawn.entries()) {
    const expected = 1 / (3 * sampling.counts[labels[i]]);
    const deviation = Math.sqrt((expected * (1 - expected)) / draws);
    expect(Math.abs(count / draws - expected)).toBeLessThan(5 * deviation);
    expect(Math.abs(sampling.share[i] - expected)).toBeLessThan(5 * deviation);
  }
});

test('the order depends on seed, phase and epoch only', () => {
  const order = (seed: number, phase: string, epoch: number) => [
    ...balancedOrder(byClass, 65, { seed, phase, epoch }),
  ];
  expect(order(0, 'PT', 0)).toEqual(order(0, 'PT', 0));
  for (const other of [order(1, 'PT', 0), order(0, 'FT', 0), order(0, 'PT', 1)])
    expect(other).not.toEqual(order(0, 'PT', 0));
});

test('views count the earlier occurrences', () => {
  expect([...viewNumbers(Int32Array.of(3, 1, 3, 3, 1))]).toEqual([0, 0, 1, 2, 1]);
});

/** 14 images, of which two have the label 1. */
const uneven: Dataset = { ...dataset(14), label: (i) => (i < 2 ? 1 : 0) };
const common = { dataset: uneven, batchSize: 2, accumulate: 2, steps: 12, sampling: 'balanced' } as const;
const shown = (batches: readonly Batch[]) =>
  batches.map(({ indices, labels: of, images }) => [...indices, ...of, ...images]);

describe('batches', () => {
  test('are the same after a resumption, and shared by several processes', async () => {
    const every = shown(await collect(trainBatches(options(common))));
    expect(every.length).toBe(12);
    expect(shown(await collect(trainBatches(options({ ...common, fromStep: 6 }))))).toEqual(every.slice(6));
    for (const rank of [0, 1]) {
      const own = await collect(trainBatches(options({ ...common, share: { rank, size: 2 } })));
      expect(shown(own)).toEqual(every.filter((_, i) => i % 2 === rank));
    }
  });

  test('have the labels of their images, and both classes about equally often', async () => {
    const batches = await collect(trainBatches(options({ ...common, steps: 300 })));
    const ones = batches.flatMap((batch) => [...batch.indices]).filter((i) => i < 2).length;
    expect(ones / 600).toBeGreaterThan(0.4);
    expect(ones / 600).toBeLessThan(0.6);
    expect(indicesByClass(uneven).map(({ length }) => length)).toEqual([12, 2]);
  });

  test('an image that is drawn twice in an epoch is augmented differently', async () => {
    const drawn: number[] = [];
    const transform = (_: unknown, random: { uniform(): number }) => {
      drawn.push(random.uniform());
      return [];
    };
    await collect(trainBatches(options({ ...common, steps: 6, transform })));
    expect(new Set(drawn).size).toBe(drawn.length);
  });
});
