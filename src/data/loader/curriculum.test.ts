import { expect, test } from 'vitest';
import type { Batch, Dataset } from '../dataset.js';
import { deitTransform } from '../transforms/deit-transform.js';
import { type TrainBatchesOptions, trainBatches } from './loader.js';

const SIDE = 36;
const dataset: Dataset = {
  length: 24,
  classes: ['a', 'b'],
  label: (i) => i % 2,
  describe: String,
  source: (i) => ({
    width: SIDE,
    height: SIDE,
    channels: 3,
    data: Uint8Array.from({ length: SIDE * SIDE * 3 }, (_, at) => (at * (i + 3) + 7 * i) % 256),
  }),
};

const transform = (magnitude?: number) =>
  deitTransform({ size: SIDE, autoAugment: 'rand-m9-mstd0.5-inc1', magnitude });
const [weak, strong] = [transform(0), transform()];
const options = { dataset, batchSize: 4, accumulate: 2, seed: 0, phase: 'PT', steps: 16, transform: strong };
/** Four steps of two batches each, in an epoch of three steps. */
const atStep: TrainBatchesOptions['atStep'] = (step) =>
  step < 4 ? { transform: weak, shrink: { size: 18, lowPass: true } } : {};

async function all(more: Partial<TrainBatchesOptions>): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of trainBatches({ ...options, ...more })) batches.push(batch);
  return batches;
}

const pixels = ({ images }: Batch) => Buffer.from(images).toString('base64');

test('a batch has the transform and the size of its step, however far the loader runs ahead', async () => {
  const [weakly, strongly, found] = [await all({ transform: weak }), await all({}), await all({ atStep })];
  for (const [i, batch] of found.entries()) {
    expect(pixels(batch)).toBe(pixels((i < 8 ? weakly : strongly)[i]));
    expect(batch.shrink).toEqual(i < 8 ? { size: 18, lowPass: true } : undefined);
  }
  expect(pixels(weakly[0])).not.toBe(pixels(strongly[0]));
  for (const more of [{ prefetch: 0 }, { prefetch: 7, workers: 3 }]) {
    expect((await all({ atStep, ...more })).map(pixels)).toEqual(found.map(pixels));
  }
});

test.each([2, 6, 7, 8, 10])('resumed at batch %i, the rest is the same', async (fromStep) => {
  const rest = await all({ atStep, fromStep });
  const whole = (await all({ atStep })).slice(fromStep);
  expect(rest.map(pixels)).toEqual(whole.map(pixels));
  expect(rest.map(({ shrink }) => shrink)).toEqual(whole.map(({ shrink }) => shrink));
});

test('processes that share a step have the same size', async () => {
  const whole = await all({ atStep });
  for (const rank of [0, 1]) {
    const own = await all({ atStep, share: { rank, size: 2 } });
    expect(own.map(pixels)).toEqual(whole.filter((_, i) => i % 2 === rank).map(pixels));
    expect(own.map(({ shrink }) => shrink?.size)).toEqual([18, 18, 18, 18, ...Array(4).fill(undefined)]);
  }
});
