import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { FUZZ_RUNS, FUZZ_TIMEOUT, mutate } from '../../../test/fixtures/mutate.js';
import { libjpeg, needs } from '../../../test/needs.js';
import { randomStream } from '../../base/random.js';
import {
  closeImages,
  jpegDecoder,
  liveImages,
  type OpenedFile,
  openImages,
  runImages,
  setImageThreads,
} from '../../torch/images.js';
import { encodeProgram, type PixelProgram } from '../transforms/pixels.js';
import { type ImageSize, sizeAfter } from '../transforms/transform.js';
import { decodeImage } from './decode.js';

/** A mutated file takes a tenth of a millisecond. */
const MUTATIONS = 20 * FUZZ_RUNS;

interface File {
  name: string;
  file: string;
  size: [number, number] | null;
  sha256: string | null;
}

/** Files written or broken by test/fixtures/make-jpeg.py, and what Pillow reads of them. */
const fixture: {
  files: File[];
  damaged: File[];
  cut: { file: string; readable: number[] }[];
} = JSON.parse(readFileSync(new URL('../../../test/fixtures/jpeg.json', import.meta.url), 'utf8'));

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'jpeg-'));
  setImageThreads(2);
});
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => expect(liveImages()).toBe(0));

const bytesOf = (text: string) => Buffer.from(text, 'base64');

/** Opens each as a part of one file. */
function open(images: readonly Uint8Array[]): Promise<OpenedFile[]> {
  const file = join(folder, 'images');
  writeFileSync(file, Buffer.concat(images));
  let start = 0;
  return openImages(
    images.map(({ length: bytes }) => {
      start += bytes;
      return { file, start: start - bytes, bytes };
    }),
  );
}

interface Decoded {
  size: ImageSize;
  /** Interleaved. */
  pixels: Uint8Array;
}

/** @throws Error with the decoder's message */
async function run(opened: OpenedFile, program: PixelProgram = []): Promise<Decoded> {
  if ('error' in opened) throw new Error(opened.error);
  if ('bytes' in opened) throw new Error('not a JPEG');
  const { handle, width, height } = opened;
  const size = sizeAfter({ width, height, channels: 3 }, program);
  const planar = new Uint8Array(3 * size.height * size.width);
  const job = { handle, program: encodeProgram(program), slot: 0 };
  const [error] = await runImages([job], size, planar);
  if (error !== null) throw new Error(error);
  const plane = size.height * size.width;
  const pixels = planar.map((_, i) => planar[(i % 3) * plane + Math.floor(i / 3)]);
  return { size, pixels };
}

async function decode(image: Uint8Array, program?: PixelProgram): Promise<Decoded> {
  const [opened] = await open([image]);
  return run(opened, program);
}

describe('JPEG', needs(libjpeg(jpegDecoder())), () => {
  test.each([...fixture.files, ...fixture.damaged])('$name: the pixels of Pillow', async (each) => {
    const decoding = decode(bytesOf(each.file));
    if (each.size === null) {
      await expect(decoding).rejects.toThrow();
      return;
    }
    const { size, pixels } = await decoding;
    expect([size.width, size.height]).toEqual(each.size);
    expect(createHash('sha256').update(pixels).digest('hex')).toBe(each.sha256);
  });

  const other = fixture.files.filter(({ name }) => !['CMYK', 'YCCK'].includes(name));

  test.each(other)('$name: the same with sharp, the decoder without libjpeg-turbo', async ({ file }) => {
    const { data } = await decodeImage(bytesOf(file));
    expect(Buffer.compare(data, (await decode(bytesOf(file))).pixels)).toBe(0);
  });

  test.each(fixture.files)(
    '$name: a region equals that region of the whole image',
    async ({ file, size }) => {
      const bytes = bytesOf(file);
      const [width, height] = size ?? [0, 0];
      const whole = await decode(bytes);
      const box = fc
        .record({
          left: fc.nat(width - 1),
          top: fc.nat(height - 1),
          right: fc.nat(width - 1),
          bottom: fc.nat(height - 1),
        })
        .map(({ left, top, right, bottom }) => ({
          left: Math.min(left, right),
          top: Math.min(top, bottom),
          width: Math.abs(right - left) + 1,
          height: Math.abs(bottom - top) + 1,
        }));
      const property = fc.asyncProperty(box, async (part) => {
        const { pixels } = await decode(bytes, [{ op: 'crop', box: part }]);
        for (let y = 0; y < part.height; y++) {
          const from = 3 * ((part.top + y) * width + part.left);
          const expected = whole.pixels.subarray(from, from + 3 * part.width);
          expect(
            Buffer.compare(pixels.subarray(3 * y * part.width, 3 * (y + 1) * part.width), expected),
          ).toBe(0);
        }
      });
      await fc.assert(property, { numRuns: 60 });
    },
  );

  test.each([
    ['on all sides', { left: -3, top: -5, width: 80, height: 70 }],
    ['completely', { left: 90, top: 60, width: 4, height: 2 }],
  ])('a box that extends beyond the image (%s) is filled with zeros', async (_, box) => {
    const bytes = bytesOf(fixture.files[2].file);
    const whole = await decode(bytes);
    const { pixels } = await decode(bytes, [{ op: 'crop', box }]);
    const expected = pixels.map((_, i) => {
      const x = (Math.floor(i / 3) % box.width) + box.left;
      const y = Math.floor(i / 3 / box.width) + box.top;
      const isInside = x >= 0 && y >= 0 && x < whole.size.width && y < whole.size.height;
      return isInside ? whole.pixels[3 * (y * whole.size.width + x) + (i % 3)] : 0;
    });
    expect(Buffer.compare(pixels, expected)).toBe(0);
  });

  test.each(['4:2:0', 'progressive 4:4:4', 'CMYK'])('%s, shrunk while it is decoded: near', async (name) => {
    const bytes = bytesOf(fixture.files.find((each) => each.name === name)?.file ?? '');
    const box = { left: 5, top: 3, width: 60, height: 48 };
    for (const by of [2, 4]) {
      const target = { box, width: box.width / by, height: box.height / by };
      const exact = await decode(bytes, [{ op: 'resize', ...target }]);
      const fast = await decode(bytes, [{ op: 'resize', ...target, fast: true }]);
      expect(fast.size).toEqual(exact.size);
      const error = fast.pixels.reduce((sum, x, i) => sum + Math.abs(x - exact.pixels[i]), 0);
      expect(error).toBeGreaterThan(0);
      expect(error / fast.pixels.length).toBeLessThan(6);
    }
  });

  test('truncated anywhere, or inside a requested region, it is an error, as in Pillow', async () => {
    for (const { file, readable } of fixture.cut) {
      const bytes = bytesOf(file);
      const lengths = Array.from(bytes, (_, length) => length);
      for (const box of [undefined, { left: 3, top: 2, width: 4, height: 3 }]) {
        const opened = await open(lengths.map((length) => bytes.subarray(0, length)));
        const read = await Promise.allSettled(opened.map((each) => run(each, box && [{ op: 'crop', box }])));
        expect(lengths.filter((length) => read[length].status === 'fulfilled')).toEqual(readable);
        const reasons = read.flatMap((each) => (each.status === 'rejected' ? [each.reason.message] : []));
        expect(new Set(reasons)).toEqual(new Set(['truncated', 'not a JPEG']));
      }
    }
  });

  test('an image that is too large for memory is refused when its header is read', async () => {
    const bytes = bytesOf(fixture.files[2].file);
    const frame = bytes.indexOf(Buffer.from([0xff, 0xc0])) + 4;
    bytes.writeUInt16BE(16385, frame + 1);
    bytes.writeUInt16BE(16384, frame + 3);
    const [opened] = await open([bytes]);
    expect(opened).toEqual({ error: '16384 x 16385 pixels are too many' });
  });

  test(
    'mutated files give pixels or an error',
    async () => {
      const originals = [...fixture.files, ...fixture.damaged].map(({ file }) => bytesOf(file));
      const stream = randomStream([7, 'mutated JPEGs']);
      const program = encodeProgram([{ op: 'crop', box: { left: 8, top: 8, width: 16, height: 16 } }]);
      const into = new Uint8Array(3 * 16 * 16);
      let decoded = 0;
      for (let left = MUTATIONS; left > 0; left -= 100) {
        const mutated = Array.from({ length: Math.min(left, 100) }, () =>
          mutate(originals[stream.integer(0, originals.length - 1)], stream),
        );
        const opened = await open(mutated);
        // The file's size may have changed to one that takes seconds: most are looked at as a whole, all in part.
        const again = await open(mutated);
        const small = again.flatMap((each) =>
          'handle' in each && each.width * each.height < 1e6
            ? [
                run(each).then(
                  () => decoded++,
                  () => {},
                ),
              ]
            : [],
        );
        closeImages(
          again.flatMap((each) => ('handle' in each && each.width * each.height >= 1e6 ? [each.handle] : [])),
        );
        const jobs = opened.flatMap((each) =>
          'handle' in each ? [{ handle: each.handle, program, slot: 0 }] : [],
        );
        await runImages(jobs, { channels: 3, height: 16, width: 16 }, into);
        await Promise.all(small);
        expect(liveImages()).toBe(0);
      }
      expect(decoded).toBeGreaterThan(MUTATIONS / 5);
    },
    FUZZ_TIMEOUT,
  );
});
