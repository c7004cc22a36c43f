import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  collect,
  dataset,
  files,
  onDisk,
  options,
  square,
  strip,
  whole,
} from '../../../test/loader-images.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { Batch, Image } from '../dataset.js';
import { evalFolder } from '../formats/folder.js';
import { evalTransform } from '../transforms/transform.js';
import { evalBatches, trainBatches } from './loader.js';
import { epochOrder, repeatedOrder } from './sampler.js';

const golden = fileURLToPath(new URL('../../../test/golden/', import.meta.url));

describe('trainBatches', () => {
  test('each epoch contains each image at most once and drops the last partial batch', async () => {
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
      'a step of 6 micro-batches of 1 images cannot be divided evenly among 4 processes',
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
    expect(() => trainBatches(options({ batchSize: 12 }))).toThrow(/12 images.*11 images/);
  });

  test('repeats: several views of each image, augmented separately', async () => {
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
    expect(() => trainBatches(options({ ...repeats, batchSize: 257 }))).toThrow(/257 images.*256 images/);
  });

  test('erasing continues the transform’s random stream; noise and mixing are keyed by the step', async () => {
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
  test('keeps that many batches in flight beyond the current one', async () => {
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

  test('continues while the consumer blocks the thread', async () => {
    const batches = trainBatches(options({ dataset: onDisk('jpg'), prefetch: 2, steps: 6 }));
    const iterator = batches[Symbol.asyncIterator]();
    for (let step = 0; step < 6; step++) {
      expect((await iterator.next()).done).toBe(false);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5);
    }
    expect((await iterator.next()).done).toBe(true);
  });

  test('images in memory that are only copied are assembled on demand', async () => {
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

  test('the event loop runs between steps, even if nothing is awaited', async () => {
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
