import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { randomStream } from '../base/random.js';
import type { Batch, Dataset, Image } from './dataset.js';
import { evalFolder } from './folder.js';
import { evalBatches, type TrainBatchesOptions, trainBatches } from './loader.js';
import { evalTransform, type Transform } from './transform.js';

const golden = fileURLToPath(new URL('../../test/golden/', import.meta.url));

/** Image i is one grey pixel of value i, label i % 2. */
function pixels(length: number, image: (i: number) => Image | Promise<Image> = pixel): Dataset {
  return { length, classes: ['even', 'odd'], label: (i) => i % 2, describe: (i) => `image ${i}`, image };
}

function pixel(i: number): Image {
  return { width: 1, height: 1, channels: 1, data: Uint8Array.of(i) };
}

/** Decoding that ends in an order of its own. */
async function slowPixel(i: number): Promise<Image> {
  await delay((i * 7) % 5);
  return pixel(i);
}

const same: Transform = (image) => image;
const noisy: Transform = (image, random) => ({
  ...image,
  data: image.data.map((x) => x ^ random.integer(0, 255)),
});

function options(changes: Partial<TrainBatchesOptions> = {}): TrainBatchesOptions {
  return {
    dataset: pixels(11),
    batchSize: 4,
    transform: noisy,
    seed: 3,
    phase: 'PT',
    fromStep: 0,
    steps: 7,
    shuffle: true,
    ...changes,
  };
}

async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

const unhandled: unknown[] = [];
const note = (reason: unknown) => unhandled.push(reason);
beforeEach(() => {
  unhandled.length = 0;
  process.on('unhandledRejection', note);
});
afterEach(() => {
  process.off('unhandledRejection', note);
});

describe('trainBatches', () => {
  test('each epoch holds each image at most once and drops the last partial batch', async () => {
    const batches = await collect(trainBatches(options({ transform: same })));
    expect(batches.length).toBe(7);
    for (let epoch = 0; epoch < 3; epoch++) {
      const indices = batches.slice(2 * epoch, 2 * epoch + 2).flatMap((batch) => [...batch.indices]);
      expect(new Set(indices).size).toBe(8);
    }
    for (const batch of batches) {
      expect(batch).toMatchObject({ size: 4, channels: 1, height: 1, width: 1 });
      expect([...batch.images]).toEqual([...batch.indices]);
      expect([...batch.labels]).toEqual([...batch.indices].map((i) => i % 2));
    }
    expect(String(batches[0].indices)).not.toBe(String(batches[2].indices));
  });

  test('augmentation is a function of seed, phase, epoch and image', async () => {
    const batches = await collect(trainBatches(options()));
    batches.forEach(({ indices, images }, step) => {
      const epoch = Math.floor(step / 2);
      const expected = [...indices].map(
        (i) => i ^ randomStream([3, 'augment', 'PT', epoch, i]).integer(0, 255),
      );
      expect([...images]).toEqual(expected);
    });
  });

  test('the same batches from any step, at any depth of prefetch, from memory or decoded', async () => {
    const all = await collect(trainBatches(options()));
    for (const image of [pixel, slowPixel]) {
      for (const prefetch of [0, 1, 3, 20]) {
        for (const fromStep of [0, 1, 2, 6, 7]) {
          const rest = await collect(
            trainBatches(options({ dataset: pixels(11, image), prefetch, fromStep })),
          );
          expect(rest).toEqual(all.slice(fromStep));
        }
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

  test('RGB becomes planar', async () => {
    const rgb: Image = { width: 2, height: 1, channels: 3, data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    const [batch] = await collect(
      trainBatches(options({ dataset: pixels(2, () => rgb), batchSize: 2, transform: same, steps: 1 })),
    );
    expect(batch).toMatchObject({ channels: 3, height: 1, width: 2 });
    expect([...batch.images]).toEqual([1, 4, 2, 5, 3, 6, 1, 4, 2, 5, 3, 6]);
  });

  test('fewer images than a batch is an InputError at once', () => {
    expect(() => trainBatches(options({ batchSize: 12 }))).toThrow(InputError);
    expect(() => trainBatches(options({ batchSize: 12 }))).toThrow(/12 images.* 11/);
  });
});

describe('prefetch', () => {
  test('keeps that many batches in decoding beyond the one being used', async () => {
    let started = 0;
    const counted = (i: number) => {
      started++;
      return slowPixel(i);
    };
    const batches = trainBatches(options({ dataset: pixels(11, counted), prefetch: 2, steps: 6 }));
    const seen: number[] = [];
    for await (const _ of batches) seen.push(started / 4);
    expect(seen).toEqual([3, 4, 5, 6, 6, 6]);
  });

  test('images in memory are put together when asked for', async () => {
    let loaded = 0;
    const counted = (i: number) => {
      loaded++;
      return pixel(i);
    };
    const seen: number[] = [];
    for await (const _ of trainBatches(options({ dataset: pixels(11, counted), steps: 3 })))
      seen.push(loaded);
    expect(seen).toEqual([4, 8, 12]);
  });

  test('the event loop turns between steps, even where nothing is waited for', async () => {
    let turns = 0;
    let turning = setImmediate(function turn() {
      turns++;
      turning = setImmediate(turn);
    });
    const seen: number[] = [];
    for await (const _ of trainBatches(options({ steps: 5 }))) seen.push(turns);
    clearImmediate(turning);
    expect(new Set(seen).size).toBe(5);
  });
});

describe('failures', () => {
  const broken = (kind: 'thrown' | 'rejected', bad: (i: number) => boolean) =>
    pixels(11, (i) => {
      if (!bad(i)) return kind === 'thrown' ? pixel(i) : slowPixel(i);
      const error = new Error('no pixels');
      if (kind === 'thrown') throw error;
      return Promise.reject(error);
    });

  test.each(['thrown', 'rejected'] as const)(
    'an image that fails (%s) is named, at its step',
    async (kind) => {
      const dataset = broken(kind, (i) => i === 6);
      const seen: number[] = [];
      const run = async () => {
        for await (const batch of trainBatches(options({ dataset, shuffle: false, transform: same }))) {
          seen.push(batch.indices[0]);
        }
      };
      const failed = run();
      await expect(failed).rejects.toThrow(InputError);
      await expect(failed).rejects.toThrow('image 6: no pixels');
      expect(seen).toEqual([0]);
      await delay(20);
      expect(unhandled).toEqual([]);
    },
  );

  test('a transform that fails is named after its image, once, and keeps its hint', async () => {
    const wrong = evalBatches({ dataset: pixels(3), batchSize: 2, transform: evalTransform(28) });
    const error = await collect(wrong).catch((reason) => reason);
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/^image 0: the image is 1 x 1 pixels/);
    expect(error.hint).toContain('28 x 28');
  });

  test('an image of another shape than its batch is named', async () => {
    const wide: Image = { width: 2, height: 1, channels: 1, data: new Uint8Array(2) };
    const dataset = pixels(4, (i) => (i === 2 ? wide : pixel(i)));
    const mixed = collect(evalBatches({ dataset, batchSize: 4, transform: (image) => image }));
    await expect(mixed).rejects.toThrow(
      /image 2: the image is 2 x 1 grey, others of its batch are 1 x 1 grey/,
    );
  });

  test.each(['break', 'throw'])('a consumer that stops early (%s) leaves nothing unhandled', async (how) => {
    const dataset = broken('rejected', (i) => i >= 4);
    const run = async () => {
      for await (const _ of trainBatches(options({ dataset, shuffle: false, prefetch: 6 }))) {
        if (how === 'throw') throw new Error('stop');
        break;
      }
    };
    if (how === 'throw') await expect(run()).rejects.toThrow('stop');
    else await run();
    await delay(20);
    expect(unhandled).toEqual([]);
  });

  test('images that fail and promises that fail beside them leave nothing unhandled', async () => {
    const dataset = pixels(4, (i) => {
      if (i === 3) throw new Error('at once');
      return delay(2).then(() => Promise.reject(new Error('later')));
    });
    await expect(
      collect(evalBatches({ dataset, batchSize: 4, transform: (image) => image })),
    ).rejects.toThrow('image 3: at once');
    await delay(20);
    expect(unhandled).toEqual([]);
  });
});

describe('evalBatches', () => {
  test('all images in order, the last batch short', async () => {
    for (const image of [pixel, slowPixel]) {
      const dataset = pixels(11, image);
      const batches = await collect(evalBatches({ dataset, batchSize: 4, transform: (each) => each }));
      expect(batches.map(({ size }) => size)).toEqual([4, 4, 3]);
      expect(batches.flatMap(({ images }) => [...images])).toEqual([...Array(11).keys()]);
    }
  });

  test('the golden images: the official pixels and labels', async () => {
    const dataset = evalFolder(`${golden}png`, 10);
    const [batch] = await collect(evalBatches({ dataset, batchSize: 16, transform: evalTransform(28) }));
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
