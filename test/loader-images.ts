import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import sharp from 'sharp';
import { afterAll, afterEach, beforeAll, beforeEach, expect, vi } from 'vitest';
import type { Batch, Dataset, EncodedImage, Image } from '../src/data/dataset.js';
import type { TrainBatchesOptions } from '../src/data/loader/loader.js';
import type { FixedTransform, Transform } from '../src/data/transforms/transform.js';
import { liveImages } from '../src/torch/images.js';

// Images for the loader's tests. Importing this module writes the files, and fails tests that leave images or rejections behind.

/** Image i has the label i % 2. */
export function dataset(length: number, source: (i: number) => Image | EncodedImage = strip): Dataset {
  return { length, classes: ['even', 'odd'], label: (i) => i % 2, describe: (i) => `image ${i}`, source };
}

/** 16 grey pixels from 16 i. */
export function strip(i: number): Image {
  return { width: 16, height: 1, channels: 1, data: Uint8Array.from({ length: 16 }, (_, x) => 16 * i + x) };
}

export const whole: FixedTransform = () => [];
/** One pixel of the image. */
const pixel: Transform = (_, random) => [
  { op: 'crop', box: { left: random.integer(0, 15), top: 0, width: 1, height: 1 } },
];
export const square: FixedTransform = () => [{ op: 'crop', box: { left: 1, top: 0, width: 4, height: 4 } }];

export let folder: string;
/** Colour images of 16 x 9 pixels, as files of either kind. */
export const files: Record<'png' | 'jpg', string[]> = { png: [], jpg: [] };
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

export const onDisk = (kind: 'png' | 'jpg') => dataset(11, (i) => ({ file: files[kind][i] }));

/** A separate file with the first bytes of the 4th JPEG. */
export function truncated(): EncodedImage {
  const file = join(folder, 'truncated.jpg');
  writeFileSync(file, readFileSync(files.jpg[4]).subarray(0, -20));
  return { file };
}

export function options(changes: Partial<TrainBatchesOptions> = {}): TrainBatchesOptions {
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

export async function collect(batches: AsyncIterable<Batch>): Promise<Batch[]> {
  const all: Batch[] = [];
  for await (const batch of batches) all.push(batch);
  return all;
}

export const failureOf = (batches: AsyncIterable<Batch>) => collect(batches).catch((reason) => reason);

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
