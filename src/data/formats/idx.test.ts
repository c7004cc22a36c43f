import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { refusals } from '../../../test/fixtures/data-fixture.js';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { InputError } from '../../base/errors.js';
import { randomStream } from '../../base/random.js';
import type { Image } from '../dataset.js';
import { fashionMnist, readIdx } from './idx.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'idx-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** An IDX file of unsigned bytes, written by the format's description. */
function idx(shape: number[], elements: number[]): Buffer {
  const sizes = Buffer.alloc(4 * shape.length);
  shape.forEach((size, i) => {
    sizes.writeUInt32BE(size, 4 * i);
  });
  return Buffer.concat([Buffer.from([0, 0, 8, shape.length]), sizes, Buffer.from(elements)]);
}

function written(bytes: Uint8Array, name = 'file'): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

const range = (length: number) => Array.from({ length }, (_, i) => i);

describe.each([
  ['plain', (bytes: Buffer) => bytes],
  ['gzipped', (bytes: Buffer) => gzipSync(bytes)],
])('%s', (_, packed) => {
  test('shape and elements', () => {
    const { shape, data } = readIdx(written(packed(idx([2, 3, 4], range(24)))), 3);
    expect(shape).toEqual([2, 3, 4]);
    expect([...data]).toEqual(range(24));
  });

  test.each([
    ['one byte short', idx([2, 3, 4], range(23)), /truncated/],
    ['one byte long', idx([2, 3, 4], range(25)), /too long/],
    ['much too long', idx([2, 3, 4], range(5000)), /too long/],
    ['huge sizes', idx([0xffffffff, 0xffffffff, 0xffffffff], range(9)), /truncated/],
    ['a large size within what gzip could hold', idx([1, 100, 300], range(9)), /truncated/],
    ['a size of 0', idx([0, 3, 4], []), /empty/],
    ['labels instead of images', idx([2], range(2)), /not an IDX file of 3-dim/],
    ['other element type', Buffer.from([0, 0, 0x0d, 3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0]), /not an IDX/],
    ['header cut', idx([2, 3, 4], []).subarray(0, 11), /not an IDX/],
    ['no bytes', Buffer.alloc(0), /not an IDX/],
  ])('%s is an InputError naming the file', (_case, bytes, message) => {
    const file = written(packed(bytes));
    const read = () => readIdx(file, 3);
    expect(read).toThrow(InputError);
    expect(read).toThrow(file);
    expect(read).toThrow(message);
  });
});

test('a gzip file truncated anywhere is an InputError; a damaged one is an InputError or read correctly', () => {
  const elements = range(256);
  const whole = gzipSync(idx([4, 8, 8], elements));
  const read = (bytes: Uint8Array) => [...readIdx(written(bytes), 3).data];
  fc.assert(
    fc.property(fc.nat(whole.length - 1), (length) => {
      expect(() => read(whole.subarray(0, length))).toThrow(InputError);
    }),
  );
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const damaged = Buffer.from(whole);
      damaged[at] ^= flip;
      try {
        expect(read(damaged)).toEqual(elements);
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
      }
    }),
    { numRuns: 1000 },
  );
});

test('a mutated file, gzipped or not, is read or refused', { timeout: FUZZ_TIMEOUT }, () => {
  const plain = idx([5, 4, 4], range(80));
  const originals = [plain, gzipSync(plain)];
  const refused = refusals((run) => {
    const bytes = mutate(originals[run % 2], randomStream(['idx', run]));
    const { shape, data } = readIdx(written(bytes), 3);
    expect(data.length).toBe(shape.reduce((product, size) => product * size, 1));
    expect(data.length).toBeLessThan(1032 * bytes.length);
  });
  expect(refused).toBeGreaterThan(FUZZ_RUNS / 4);
  expect(refused).toBeLessThan(FUZZ_RUNS);
});

describe('fashionMnist', () => {
  const images = (count: number) => idx([count, 2, 2], range(count * 4));
  beforeEach(() => {
    written(images(3), 'train-images-idx3-ubyte');
    written(gzipSync(idx([3], [0, 9, 4])), 'train-labels-idx1-ubyte.gz');
    written(gzipSync(images(2)), 't10k-images-idx3-ubyte.gz');
    written(idx([2], [1, 2]), 't10k-labels-idx1-ubyte');
  });

  test('both parts, gzipped or not', () => {
    const { train, val } = fashionMnist(folder);
    expect([train.length, val.length]).toEqual([3, 2]);
    expect(range(3).map((i) => train.classes[train.label(i)])).toEqual(['T-shirt/top', 'Ankle boot', 'Coat']);
    const image = train.source(2) as Image;
    expect(image).toMatchObject({ width: 2, height: 2, channels: 1 });
    expect([...image.data]).toEqual([8, 9, 10, 11]);
    expect(val.describe(1)).toContain('t10k-images-idx3-ubyte.gz, image 1');
  });

  test('missing files say how to get them', () => {
    rmSync(join(folder, 't10k-labels-idx1-ubyte'));
    expect(() => fashionMnist(folder)).toThrow(/has no file t10k-labels-idx1-ubyte or/);
    expect(() => fashionMnist(join(folder, 'none'))).toThrow(/none does not exist/);
    try {
      fashionMnist(folder);
    } catch (error) {
      expect((error as InputError).hint).toContain('npx deep-incubation setup');
    }
  });

  test('labels that do not fit', () => {
    written(idx([2], [1, 10]), 't10k-labels-idx1-ubyte');
    expect(() => fashionMnist(folder)).toThrow(/label 1 is 10, but there are 10 classes/);
    written(idx([1], [1]), 't10k-labels-idx1-ubyte');
    expect(() => fashionMnist(folder)).toThrow(/contains 1 labels, .* 2 images/);
  });
});
