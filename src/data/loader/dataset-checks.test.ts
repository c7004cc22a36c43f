import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { collect, dataset, options, strip, whole } from '../../../test/loader-images.js';
import { InputError } from '../../base/errors.js';
import { evalBatches, trainBatches } from './loader.js';

// Errors that a custom data set can make.

const batches = (bad: ReturnType<typeof dataset>) =>
  collect(evalBatches({ dataset: bad, batchSize: 4, transform: whole }));

describe('a data set that contradicts itself', () => {
  test('an image with more or fewer pixels than stated is refused by name, in memory and transformed', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: 40 }), fc.boolean(), async (bytes, cropped) => {
        fc.pre(bytes !== 16);
        const bad = dataset(4, (i) => (i === 2 ? { ...strip(i), data: new Uint8Array(bytes) } : strip(i)));
        const box = { left: 0, top: 0, width: 16, height: 1 };
        const transform = () => (cropped ? [{ op: 'crop', box } as const] : []);
        const read = collect(evalBatches({ dataset: bad, batchSize: 4, transform }));
        await expect(read).rejects.toThrow(
          `image 2: 16 x 1 pixels of 1 channels with ${bytes} bytes of data`,
        );
      }),
      { numRuns: 20 },
    );
  });

  test.each([0.5, Number.NaN, undefined])('the label %s is refused by name', async (label) => {
    const bad = { ...dataset(4), label: (i: number) => (i === 1 ? (label as number) : 0) };
    await expect(batches(bad)).rejects.toThrow(`image 1: its label is ${label}`);
  });
});

test.each([
  ['batchSize', 0],
  ['batchSize', 1.5],
  ['batchSize', Number.NaN],
  ['accumulate', 0],
  ['steps', Number.NaN],
  ['steps', 2.5],
  ['steps', -1],
  ['fromStep', -1],
  ['workers', 0],
  ['prefetch', Number.NaN],
] as const)('%s = %s is refused before anything is loaded', (name, value) => {
  const call = () => trainBatches(options({ [name]: value }));
  expect(call).toThrow(InputError);
  expect(call).toThrow(`${name} is ${value}`);
});
