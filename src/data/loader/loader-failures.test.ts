import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  collect,
  dataset,
  failureOf,
  files,
  folder,
  onDisk,
  options,
  square,
  strip,
  truncated,
  whole,
} from '../../../test/loader-images.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { EncodedImage, Image } from '../dataset.js';
import { evalTransform, type FixedTransform } from '../transforms/transform.js';
import { evalBatches, type TrainBatchesOptions, trainBatches } from './loader.js';

describe('failures', () => {
  const missing = { file: join(tmpdir(), 'no such folder', 'none.jpg') };
  const broken = (bad: (i: number) => boolean, source: EncodedImage = missing) =>
    dataset(11, (i) => (bad(i) ? source : { file: files.jpg[i] }));

  test.each([
    ['missing', () => missing, /No such file/],
    ['truncated', truncated, /truncated|premature end/],
    ['no image', () => ({ file: fileURLToPath(import.meta.url) }), /not an image but text/],
    ['a part behind the end', () => ({ file: files.jpg[0], start: 10, bytes: 1e6 }), /truncated/],
  ])('a file that is %s is named, at its step', async (_, source, words) => {
    const seen: number[] = [];
    const run = async () => {
      const bad = options({ dataset: broken((i) => i === 6, source()), shuffle: false, transform: square });
      for await (const batch of trainBatches(bad)) seen.push(batch.indices[0]);
    };
    const error = await run().catch((reason) => reason);
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/^image 6: cannot be read as an image \(/);
    expect(error.message).toMatch(words);
    expect(seen).toEqual([0]);
  });

  test('a failed transform names its image, and keeps its hint', async () => {
    const transform = evalTransform(28);
    for (const wrong of [dataset(3), onDisk('jpg'), onDisk('png')]) {
      const error = await failureOf(evalBatches({ dataset: wrong, batchSize: 2, transform }));
      expect(error).toBeInstanceOf(InputError);
      expect(error.message).toMatch(/^image 0: the image is 16 x \d pixels/);
      expect(error.hint).toContain('28 x 28');
    }
  });

  test('an image with another shape than its batch is named', async () => {
    const wide: Image = { width: 20, height: 1, channels: 1, data: new Uint8Array(20) };
    const mixed = dataset(4, (i) => (i === 2 ? wide : strip(i)));
    const flipped: FixedTransform = () => [{ op: 'flip' }];
    for (const transform of [whole, flipped]) {
      const error = await failureOf(evalBatches({ dataset: mixed, batchSize: 4, transform }));
      expect(error.message).toBe(
        'image 2: the image is 20 x 1 grey, but others in its batch are 16 x 1 grey',
      );
    }
    const colourful = dataset(4, (i) => (i === 2 ? { file: files.jpg[2] } : strip(i)));
    const transform: FixedTransform = () => [{ op: 'crop', box: { left: 0, top: 0, width: 2, height: 1 } }];
    const error = await failureOf(evalBatches({ dataset: colourful, batchSize: 4, transform }));
    expect(error.message).toBe('image 2: the image is 2 x 1 RGB, but others in its batch are 2 x 1 grey');
  });

  test('an error of the data set is passed on unchanged', async () => {
    const failing = dataset(11, (i) => {
      if (i === 5) throw new InputError('the archive is gone');
      return { file: files.jpg[i] };
    });
    const error = await failureOf(evalBatches({ dataset: failing, batchSize: 4, transform: square }));
    expect(error.message).toBe('the archive is gone');
  });

  test.each(['break', 'throw'])('a consumer that stops early (%s) leaves nothing behind', async (how) => {
    const run = async () => {
      const bad = options({ dataset: broken((i) => i >= 4), shuffle: false, prefetch: 6 });
      for await (const _ of trainBatches(bad)) {
        if (how === 'throw') throw new Error('stop');
        break;
      }
    };
    if (how === 'throw') await expect(run()).rejects.toThrow('stop');
    else await run();
  });
});

describe('replacement of images that cannot be read', () => {
  /** 30 files, some of which are missing. */
  const withGaps = (gone: readonly number[]) =>
    dataset(30, (i) => (gone.includes(i) ? { file: join(folder, 'gone.jpg') } : { file: files.jpg[i % 11] }));
  const replacing = (gone: readonly number[], changes: Partial<TrainBatchesOptions> = {}) =>
    options({ dataset: withGaps(gone), batchSize: 10, steps: 6, onBadImage: 'replace', ...changes });

  test('by another image, the same in each run and for any number of workers', async () => {
    const notes: string[] = [];
    const onReplaced = (describe: string, error: InputError) => notes.push(`${describe}|${error.message}`);
    const batches = await collect(trainBatches(replacing([7], { onReplaced, shuffle: false })));
    expect(batches.map(({ replaced }) => replaced)).toEqual([
      [7],
      undefined,
      undefined,
      [7],
      undefined,
      undefined,
    ]);
    const { indices, labels, images } = batches[0];
    const index = randomStream([3, 'replace', 'PT', 0, 7]).integer(0, 29);
    expect(index).not.toBe(7);
    expect([...indices]).toEqual([0, 1, 2, 3, 4, 5, 6, index, 8, 9]);
    expect(labels[7]).toBe(index % 2);
    const [alone] = await collect(
      trainBatches(
        options({
          dataset: dataset(30, () => ({ file: files.jpg[index % 11] })),
          batchSize: 30,
          steps: 1,
          shuffle: false,
        }),
      ),
    );
    const colour = (from: Uint8Array, slot: number) => [...from.subarray(3 * slot, 3 * slot + 3)];
    expect(colour(images, 7)).toEqual(colour(alone.images, index));
    const place = /^image 7\|image 7: cannot be read as an image \(No such file/;
    expect(notes).toEqual([expect.stringMatching(place), expect.stringMatching(place)]);
    const again = await collect(trainBatches(replacing([7], { workers: 4, prefetch: 1, shuffle: false })));
    expect(again).toEqual(batches);
  });

  test('by a further one if that is unreadable too', async () => {
    const drawn = (slot: number) => {
      const stream = randomStream([3, 'replace', 'PT', 0, slot]);
      return [stream.integer(0, 29), stream.integer(0, 29)];
    };
    // An image of the first batch whose first replacement is in another batch.
    const bad = [...Array(10).keys()].find((slot) => drawn(slot)[0] >= 10 && drawn(slot)[1] < 10) ?? -1;
    const [first, second] = drawn(bad);
    expect([bad, first]).not.toContain(second);
    const notes: string[] = [];
    const gaps = replacing([bad, first], {
      shuffle: false,
      steps: 1,
      onReplaced: (describe) => notes.push(describe),
    });
    const [{ indices, replaced }] = await collect(trainBatches(gaps));
    expect(indices[bad]).toBe(second);
    expect(replaced).toEqual([bad]);
    expect(notes).toEqual([`image ${bad}`, `image ${first}`]);
  });

  test('not if more than a tenth of a batch is unreadable', async () => {
    const error = await failureOf(trainBatches(replacing([3, 7], { shuffle: false })));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/^2 of the 10 images of a batch cannot be read; for example image 3: /);
  });

  test('a limited number of times', async () => {
    const all = Array.from({ length: 30 }, (_, i) => i);
    const error = await failureOf(trainBatches(replacing(all, { batchSize: 1, steps: 1 })));
    expect(error.message).toMatch(/^image \d+: cannot be read/);
  });

  test('not if the transform failed, not by default, and not in evaluation', async () => {
    const transform = evalTransform(28);
    const wrong = await failureOf(trainBatches(replacing([7], { transform, shuffle: false })));
    expect(wrong.message).toMatch(/^image 0: the image is 16 x 9/);
    const failing = await failureOf(trainBatches(replacing([7], { onBadImage: undefined, shuffle: false })));
    expect(failing.message).toMatch(/^image 7: cannot be read/);
    const evaluation = await failureOf(
      evalBatches({ dataset: withGaps([7]), batchSize: 10, transform: square }),
    );
    expect(evaluation.message).toMatch(/^image 7: cannot be read/);
  });
});
