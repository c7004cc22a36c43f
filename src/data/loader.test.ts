import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { InputError } from '../base/errors.js';
import { randomStream } from '../base/random.js';
import { liveImages } from '../torch/images.js';
import type { Batch, Dataset, EncodedImage, Image } from './dataset.js';
import { evalFolder } from './folder.js';
import { evalBatches, type TrainBatchesOptions, trainBatches } from './loader.js';
import { epochOrder, repeatedOrder } from './sampler.js';
import { evalTransform, type FixedTransform, type Transform } from './transform.js';

const golden = fileURLToPath(new URL('../../test/golden/', import.meta.url));

/** Image i has the label i % 2. */
function dataset(length: number, source: (i: number) => Image | EncodedImage = strip): Dataset {
  return { length, classes: ['even', 'odd'], label: (i) => i % 2, describe: (i) => `image ${i}`, source };
}

/** 16 grey pixels from 16 i. */
function strip(i: number): Image {
  return { width: 16, height: 1, channels: 1, data: Uint8Array.from({ length: 16 }, (_, x) => 16 * i + x) };
}

const whole: FixedTransform = () => [];
/** One pixel of the image. */
const pixel: Transform = (_, random) => [
  { op: 'crop', box: { left: random.integer(0, 15), top: 0, width: 1, height: 1 } },
];
const square: FixedTransform = () => [{ op: 'crop', box: { left: 1, top: 0, width: 4, height: 4 } }];

let folder: string;
/** Colour images of 16 x 9 pixels, as files of either kind. */
const files: Record<'png' | 'jpg', string[]> = { png: [], jpg: [] };
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'loader-'));
  const raw = { width: 16, height: 9, channels: 3 } as const;
  for (let i = 0; i < 11; i++) {
    const data = Uint8Array.from(
      { length: 16 * 9 * 3 },
      (_, at) => 16 * i + (Math.floor(at / 3) % 16) + (at % 3),
    );
    const image = sharp(data, { raw });
    for (const kind of ['png', 'jpg'] as const) {
      files[kind].push(join(folder, `${i}.${kind}`));
      await image.toFile(files[kind][i]);
    }
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

const onDisk = (kind: 'png' | 'jpg') => dataset(11, (i) => ({ file: files[kind][i] }));

/** A file of its own with the first bytes of the 4th JPEG. */
function truncated(): EncodedImage {
  const file = join(folder, 'truncated.jpg');
  writeFileSync(file, readFileSync(files.jpg[4]).subarray(0, -20));
  return { file };
}

function options(changes: Partial<TrainBatchesOptions> = {}): TrainBatchesOptions {
  return {
    dataset: dataset(11),
    batchSize: 4,
    transform: pixel,
    seed: 3,
    phase: 'PT',
    fromStep: 0,
    steps: 7,
    shuffle: true,
    workers: 2,
    ...changes,
  };
}

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

const failureOf = (batches: AsyncIterable<Batch>) => collect(batches).catch((reason) => reason);

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(async () => {
  await vi.waitFor(() => expect(liveImages()).toBe(0));
  await delay(1);
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});

describe('trainBatches', () => {
  test('each epoch holds each image at most once and drops the last partial batch', async () => {
    const batches = await collect(trainBatches(options({ transform: whole })));
    expect(batches.length).toBe(7);
    for (let epoch = 0; epoch < 3; epoch++) {
      const indices = batches.slice(2 * epoch, 2 * epoch + 2).flatMap((batch) => [...batch.indices]);
      expect(new Set(indices).size).toBe(8);
    }
    for (const batch of batches) {
      expect(batch).toMatchObject({ size: 4, channels: 1, height: 1, width: 16 });
      expect([...batch.images]).toEqual([...batch.indices].flatMap((i) => [...strip(i).data]));
      expect([...batch.labels]).toEqual([...batch.indices].map((i) => i % 2));
    }
    expect(String(batches[0].indices)).not.toBe(String(batches[2].indices));
  });

  test.each([2, 3])('%i processes share the batches of each step, in rows by rank', async (size) => {
    const common = { dataset: dataset(14), batchSize: 1, accumulate: 6, steps: 30 };
    const every = await collect(trainBatches(options(common)));
    const shown = (batches: Batch[]) => batches.map(({ indices, images }) => [...indices, ...images]);
    const each = 6 / size;
    for (let rank = 0; rank < size; rank++) {
      const expected = every.filter((_, i) => Math.floor(i / each) % size === rank);
      const share = { rank, size };
      expect(shown(await collect(trainBatches(options({ ...common, share }))))).toEqual(shown(expected));
      const later = await collect(trainBatches(options({ ...common, share, fromStep: 18 })));
      expect(shown(later)).toEqual(shown(expected.slice(3 * each)));
    }
    expect(() => trainBatches(options({ ...common, share: { rank: 0, size: 4 } }))).toThrow(
      'a step of 6 micro-batches of 1 images cannot be shared evenly by 4 processes',
    );
  });

  test('augmentation is a function of seed, phase, epoch and image', async () => {
    const batches = await collect(trainBatches(options()));
    batches.forEach(({ indices, images }, step) => {
      const epoch = Math.floor(step / 2);
      const drawn = (i: number) => randomStream([3, 'augment', 'PT', epoch, i]).integer(0, 15);
      expect([...images]).toEqual([...indices].map((i) => 16 * i + drawn(i)));
    });
  });

  test('the same batches from any step, from memory or decoded, at any depth of prefetch', async () => {
    const inMemory = dataset(11, (i) => {
      const data = Uint8Array.from(
        { length: 16 * 9 * 3 },
        (_, at) => 16 * i + (Math.floor(at / 3) % 16) + (at % 3),
      );
      return { width: 16, height: 9, channels: 3, data };
    });
    const all = await collect(trainBatches(options({ dataset: inMemory })));
    for (const source of [inMemory, onDisk('png')]) {
      for (const prefetch of [0, 1, 3, 20]) {
        for (const fromStep of [0, 1, 2, 6, 7]) {
          const rest = await collect(trainBatches(options({ dataset: source, prefetch, fromStep })));
          expect(rest).toEqual(all.slice(fromStep));
        }
      }
    }
  });

  test('the same batches for any number of workers', async () => {
    const all = await collect(trainBatches(options({ dataset: onDisk('jpg'), workers: 1, prefetch: 1 })));
    expect(all[0]).toMatchObject({ size: 4, channels: 3, height: 1, width: 1 });
    for (const workers of [1, 2, 4]) {
      for (const prefetch of [1, 4]) {
        const same = await collect(trainBatches(options({ dataset: onDisk('jpg'), workers, prefetch })));
        expect(same).toEqual(all);
      }
    }
  });

  test('without shuffling, the order of the data set', async () => {
    const batches = await collect(trainBatches(options({ shuffle: false, steps: 3 })));
    expect(batches.map(({ indices }) => [...indices])).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [0, 1, 2, 3],
    ]);
  });

  test('RGB becomes planar, where it is copied and where it is transformed', async () => {
    const rgb: Image = { width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    const change = { dataset: dataset(2, () => rgb), batchSize: 2, steps: 1 };
    const [copied] = await collect(trainBatches(options({ ...change, transform: whole })));
    expect(copied).toMatchObject({ channels: 3, height: 1, width: 2 });
    expect([...copied.images]).toEqual([1, 4, 2, 5, 3, 6, 1, 4, 2, 5, 3, 6]);
    const [flipped] = await collect(trainBatches(options({ ...change, transform: () => [{ op: 'flip' }] })));
    expect([...flipped.images]).toEqual([4, 1, 5, 2, 6, 3, 4, 1, 5, 2, 6, 3]);
  });

  test('fewer images than a batch is an InputError at once', () => {
    expect(() => trainBatches(options({ batchSize: 12 }))).toThrow(InputError);
    expect(() => trainBatches(options({ batchSize: 12 }))).toThrow(/12 images.* 11/);
  });

  test('repeats: some views of each image, each augmented by itself', async () => {
    const many = dataset(300, (i) => strip(i % 16));
    const repeats = { dataset: many, batchSize: 64, repeats: 3 };
    const batches = await collect(trainBatches(options({ ...repeats, steps: 5 })));
    const orders = [0, 1].map((epoch) => {
      const order = epochOrder(300, { seed: 3, phase: 'PT', epoch, shuffle: true });
      return repeatedOrder(order, { repeats: 3, replicas: 1, rank: 0 });
    });
    batches.forEach(({ indices, images }, step) => {
      const epoch = Math.floor(step / 4);
      const start = 64 * (step % 4);
      expect(indices).toEqual(orders[epoch].indices.slice(start, start + 64));
      const expected = [...indices].map((i, at) => {
        const view = orders[epoch].views[start + at];
        return 16 * (i % 16) + randomStream([3, 'augment', 'PT', epoch, i, view]).integer(0, 15);
      });
      expect([...images]).toEqual(expected);
    });
    const few = { ...repeats, dataset: dataset(255) };
    expect(() => trainBatches(options({ ...few, steps: 1 }))).toThrow(/255 are too few/);
    expect(() => trainBatches(options({ ...repeats, batchSize: 257 }))).toThrow(/257 images.* 256/);
  });

  test('erasing draws on from the transform, noise and mixing by the step', async () => {
    const batches = await collect(
      trainBatches(
        options({
          erase: ({ width, height }, random) =>
            random.uniform() < 0.5 ? { left: random.integer(0, 9), top: 0, width, height } : undefined,
          mix: ({ width }, random) => ({ lambda: random.uniform() / width }),
        }),
      ),
    );
    let plain = 0;
    batches.forEach(({ indices, erased, noiseKey, mix }, step) => {
      const expected = [...indices].flatMap((i, slot) => {
        const random = randomStream([3, 'augment', 'PT', Math.floor(step / 2), i]);
        random.integer(0, 15);
        return random.uniform() < 0.5
          ? [{ slot, left: random.integer(0, 9), top: 0, width: 1, height: 1 }]
          : [];
      });
      expect(erased ?? []).toEqual(expected);
      if (erased === undefined) plain++;
      expect(noiseKey).toEqual(erased && [3, 'noise', 'PT', step]);
      expect(mix).toEqual({ lambda: randomStream([3, 'mix', 'PT', step]).uniform() });
    });
    expect(plain).toBeLessThan(7);
    const [bare] = await collect(
      trainBatches(options({ transform: whole, erase: () => undefined, steps: 1 })),
    );
    expect(Object.keys(bare)).toEqual(['size', 'channels', 'height', 'width', 'images', 'labels', 'indices']);
  });
});

describe('prefetch', () => {
  test('keeps that many batches under way beyond the one being used', async () => {
    let started = 0;
    const counted = (i: number) => {
      started++;
      return { file: files.jpg[i] };
    };
    const batches = trainBatches(options({ dataset: dataset(11, counted), prefetch: 2, steps: 6 }));
    const seen: number[] = [];
    for await (const _ of batches) seen.push(started / 4);
    expect(seen).toEqual([3, 4, 5, 6, 6, 6]);
  });

  test('goes on while the consumer blocks the thread', async () => {
    const batches = trainBatches(options({ dataset: onDisk('jpg'), prefetch: 2, steps: 6 }));
    const iterator = batches[Symbol.asyncIterator]();
    for (let step = 0; step < 6; step++) {
      expect((await iterator.next()).done).toBe(false);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
    expect((await iterator.next()).done).toBe(true);
  });

  test('images in memory that are only copied are put together when asked for', async () => {
    let loaded = 0;
    const counted = (i: number) => {
      loaded++;
      return strip(i);
    };
    const seen: number[] = [];
    const counting = options({ dataset: dataset(11, counted), transform: whole, steps: 3 });
    for await (const _ of trainBatches(counting)) seen.push(loaded);
    expect(seen).toEqual([4, 8, 12]);
  });

  test('the event loop turns between steps, even where nothing is waited for', async () => {
    let turns = 0;
    let turning = setImmediate(function turn() {
      turns++;
      turning = setImmediate(turn);
    });
    const seen: number[] = [];
    for await (const _ of trainBatches(options({ transform: whole, steps: 5 }))) seen.push(turns);
    clearImmediate(turning);
    expect(new Set(seen).size).toBe(5);
  });
});

describe('failures', () => {
  const missing = { file: join(tmpdir(), 'no such folder', 'none.jpg') };
  const broken = (bad: (i: number) => boolean, source: EncodedImage = missing) =>
    dataset(11, (i) => (bad(i) ? source : { file: files.jpg[i] }));

  test.each([
    ['missing', () => missing, /No such file/],
    ['truncated', truncated, /truncated|premature end/],
    ['no image', () => ({ file: fileURLToPath(import.meta.url) }), /unsupported image format/],
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

  test('a transform that fails is named after its image, and keeps its hint', async () => {
    const transform = evalTransform(28);
    for (const wrong of [dataset(3), onDisk('jpg'), onDisk('png')]) {
      const error = await failureOf(evalBatches({ dataset: wrong, batchSize: 2, transform }));
      expect(error).toBeInstanceOf(InputError);
      expect(error.message).toMatch(/^image 0: the image is 16 x \d pixels/);
      expect(error.hint).toContain('28 x 28');
    }
  });

  test('an image of another shape than its batch is named', async () => {
    const wide: Image = { width: 20, height: 1, channels: 1, data: new Uint8Array(20) };
    const mixed = dataset(4, (i) => (i === 2 ? wide : strip(i)));
    const flipped: FixedTransform = () => [{ op: 'flip' }];
    for (const transform of [whole, flipped]) {
      const error = await failureOf(evalBatches({ dataset: mixed, batchSize: 4, transform }));
      expect(error.message).toBe('image 2: the image is 20 x 1 grey, others of its batch are 16 x 1 grey');
    }
    const colourful = dataset(4, (i) => (i === 2 ? { file: files.jpg[2] } : strip(i)));
    const transform: FixedTransform = () => [{ op: 'crop', box: { left: 0, top: 0, width: 2, height: 1 } }];
    const error = await failureOf(evalBatches({ dataset: colourful, batchSize: 4, transform }));
    expect(error.message).toBe('image 2: the image is 2 x 1 RGB, others of its batch are 2 x 1 grey');
  });

  test('a data set that fails is not caught in between', async () => {
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

describe('images that cannot be read, replaced', () => {
  /** 30 files, of which some are gone. */
  const withGaps = (gone: readonly number[]) =>
    dataset(30, (i) => (gone.includes(i) ? { file: join(folder, 'gone.jpg') } : { file: files.jpg[i % 11] }));
  const replacing = (gone: readonly number[], changes: Partial<TrainBatchesOptions> = {}) =>
    options({ dataset: withGaps(gone), batchSize: 10, steps: 6, onBadImage: 'replace', ...changes });

  test('by another, the same in each run and at any number of workers', async () => {
    const told: string[] = [];
    const onReplaced = (describe: string, error: InputError) => told.push(`${describe}|${error.message}`);
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
    expect(told).toEqual([expect.stringMatching(place), expect.stringMatching(place)]);
    const again = await collect(trainBatches(replacing([7], { workers: 4, prefetch: 1, shuffle: false })));
    expect(again).toEqual(batches);
  });

  test('by a further one where that is gone too', async () => {
    const drawn = (slot: number) => {
      const stream = randomStream([3, 'replace', 'PT', 0, slot]);
      return [stream.integer(0, 29), stream.integer(0, 29)];
    };
    // One of the first batch whose first replacement is not itself in that batch.
    const bad = [...Array(10).keys()].find((slot) => drawn(slot)[0] >= 10 && drawn(slot)[1] < 10) ?? -1;
    const [first, second] = drawn(bad);
    expect([bad, first]).not.toContain(second);
    const told: string[] = [];
    const gaps = replacing([bad, first], {
      shuffle: false,
      steps: 1,
      onReplaced: (describe) => told.push(describe),
    });
    const [{ indices, replaced }] = await collect(trainBatches(gaps));
    expect(indices[bad]).toBe(second);
    expect(replaced).toEqual([bad]);
    expect(told).toEqual([`image ${bad}`, `image ${first}`]);
  });

  test('not if more than a tenth of a batch is gone', async () => {
    const error = await failureOf(trainBatches(replacing([3, 7], { shuffle: false })));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/^2 of the 10 images of a batch cannot be read; one: image 3: /);
  });

  test('not for ever', async () => {
    const all = Array.from({ length: 30 }, (_, i) => i);
    const error = await failureOf(trainBatches(replacing(all, { batchSize: 1, steps: 1 })));
    expect(error.message).toMatch(/^image \d+: cannot be read/);
  });

  test('not where the transform is at fault, nor by default, nor at evaluation', async () => {
    const transform = evalTransform(28);
    const wrong = await failureOf(trainBatches(replacing([7], { transform, shuffle: false })));
    expect(wrong.message).toMatch(/^image 0: the image is 16 x 9/);
    const failing = await failureOf(trainBatches(replacing([7], { onBadImage: undefined, shuffle: false })));
    expect(failing.message).toMatch(/^image 7: cannot be read/);
    const judged = await failureOf(evalBatches({ dataset: withGaps([7]), batchSize: 10, transform: square }));
    expect(judged.message).toMatch(/^image 7: cannot be read/);
  });
});

describe('evalBatches', () => {
  test('all images in order, the last batch short', async () => {
    const batches = await collect(evalBatches({ dataset: dataset(11), batchSize: 4, transform: whole }));
    expect(batches.map(({ size }) => size)).toEqual([4, 4, 3]);
    expect(batches.flatMap(({ images }) => [...images])).toEqual([...Array(11 * 16).keys()]);
    for (const kind of ['png', 'jpg'] as const) {
      const decoded = await collect(evalBatches({ dataset: onDisk(kind), batchSize: 4, transform: square }));
      expect(decoded.map(({ size }) => size)).toEqual([4, 4, 3]);
      expect(decoded.flatMap(({ indices }) => [...indices])).toEqual([...Array(11).keys()]);
    }
  });

  test('the golden images: the official pixels and labels', async () => {
    const images = evalFolder(`${golden}png`, 10);
    const [batch] = await collect(
      evalBatches({ dataset: images, batchSize: 16, transform: evalTransform(28) }),
    );
    const { pixels_u8_hwc, labels } = goldenTensors();
    expect([...batch.labels]).toEqual([...new Int32Array(labels)]);
    const expected = new Uint8Array(pixels_u8_hwc);
    const plane = 28 * 28;
    const interleaved = expected.map((_, at) => {
      const [i, place, c] = [Math.floor(at / (3 * plane)), Math.floor(at / 3) % plane, at % 3];
      return batch.images[(i * 3 + c) * plane + place];
    });
    expect(Buffer.compare(interleaved, expected)).toBe(0);
  });
});

function goldenTensors(): Record<'pixels_u8_hwc' | 'labels', ArrayBuffer> {
  const file = new Uint8Array(readFileSync(`${golden}b_batch16.safetensors`));
  const headerSize = Number(new DataView(file.buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, 8 + headerSize)));
  const bytes = (name: string) => {
    const [from, to] = header[name].data_offsets;
    return file.slice(8 + headerSize + from, 8 + headerSize + to).buffer;
  };
  return { pixels_u8_hwc: bytes('pixels_u8_hwc'), labels: bytes('labels') };
}
