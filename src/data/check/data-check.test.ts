import { cpSync, mkdirSync, rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { cifarRecords, fixture, testFolder, unpacked } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import { checkData, type DataReport } from './data-check.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);
afterEach(() => void vi.unstubAllEnvs());

/** Noise that depends on the seed. */
async function writeImage(
  name: string,
  seed: number,
  width = 20,
  height = 16,
  format?: 'gif',
): Promise<void> {
  const data = Uint8Array.from(
    { length: width * height * 3 },
    (_, i) => (seed * 31 + i * 7919 + ((i * i) % 251)) % 256,
  );
  const image = sharp(data, { raw: { width, height, channels: 3 } });
  const type = format ?? (name.endsWith('png') ? 'png' : 'jpeg');
  folder.write(name, await image.toFormat(type).toBuffer());
}

/** Problems as [kind, detail, ...images within the folder]. */
const found = ({ problems }: DataReport) =>
  problems.map(({ kind, detail, images }) => [
    kind,
    detail,
    ...images.map((image) => image.replaceAll(`${folder.path}/`, '')),
  ]);

async function writeGoodFolder(): Promise<void> {
  let seed = 0;
  for (const [name, count] of [
    ['train/cat', 4],
    ['train/dog', 2],
    ['val/cat', 1],
    ['val/dog', 1],
  ] as const) {
    for (let i = 0; i < count; i++)
      await writeImage(`${name}/${i}.${i % 2 ? 'png' : 'jpg'}`, seed++, 20 + i, 16);
  }
}

describe('a folder without problems', () => {
  test('is counted', async () => {
    await writeGoodFolder();
    const progress = vi.fn();
    const report = await checkData(folder.path, { onProgress: progress });
    expect(report).toEqual({
      format: 'folder',
      parts: {
        train: {
          images: 6,
          unreadable: 0,
          classes: 2,
          turned: 0,
          grey16: 0,
          balance: { min: 2, p5: 2, median: 4, p95: 4, max: 4, fewest: 'dog', most: 'cat' },
          widths: { min: 20, p5: 20, median: 21, p95: 23, max: 23 },
          heights: { min: 16, p5: 16, median: 16, p95: 16, max: 16 },
        },
        val: expect.objectContaining({ images: 2, classes: 2 }),
      },
      not_read: [],
      problems: [],
    });
    expect(progress.mock.calls).toEqual(Array.from({ length: 8 }, (_, i) => [i + 1, 8]));
  });

  test('not divided into parts', async () => {
    await writeGoodFolder();
    const { parts, problems } = await checkData(at('train'));
    expect(parts).toEqual({ all: expect.objectContaining({ images: 6 }) });
    expect(problems).toEqual([]);
  });
});

describe('problems', () => {
  beforeEach(writeGoodFolder);

  test('unreadable images', async () => {
    truncateSync(at('train/cat/0.jpg'), 300);
    truncateSync(at('train/cat/1.png'), 0);
    folder.write('val/dog/0.jpg', 'no image');
    const report = await checkData(folder.path);
    const unreadable = expect.stringMatching(/^(?!\/)./);
    expect(found(report)).toEqual([
      ['unreadable', unreadable, 'train/cat/0.jpg'],
      ['unreadable', unreadable, 'train/cat/1.png'],
      ['unreadable', unreadable, 'val/dog/0.jpg'],
    ]);
    expect(report.parts.train).toMatchObject({ images: 6, unreadable: 2 });
    expect(report.parts.val).toMatchObject({ images: 2, unreadable: 1 });
  });

  test('images whose format differs from their extension', async () => {
    await writeImage('train/cat/4.png', 90);
    cpSync(at('train/cat/4.png'), at('train/cat/4.jpg'));
    rmSync(at('train/cat/4.png'));
    await writeImage('train/cat/5.jpeg', 91, 20, 16, 'gif');
    expect(found(await checkData(folder.path)).filter(([kind]) => kind === 'wrong_extension')).toEqual([
      ['wrong_extension', 'wrong extension: this is a PNG image', 'train/cat/4.jpg'],
      ['wrong_extension', 'wrong extension: this is a GIF image', 'train/cat/5.jpeg'],
    ]);
  });

  test('classes without images, and classes that only val has', async () => {
    mkdirSync(at('train/emu'));
    await writeImage('val/fox/0.png', 92);
    expect(found(await checkData(folder.path))).toEqual([
      ['empty_class', 'class emu has no images in train'],
      ['unknown_class', 'class fox is in val but not in train'],
    ]);
  });

  test('images with the same bytes, in one part or both, in one class or two', async () => {
    cpSync(at('train/cat/0.jpg'), at('train/cat/9.jpg'));
    cpSync(at('train/cat/1.png'), at('train/dog/8.png'));
    cpSync(at('train/dog/0.jpg'), at('val/dog/7.jpg'));
    cpSync(at('train/dog/0.jpg'), at('val/cat/7.jpg'));
    expect(found(await checkData(folder.path))).toEqual([
      ['duplicate', '2 images with the same bytes', 'train/cat/0.jpg', 'train/cat/9.jpg'],
      [
        'duplicate',
        '2 images with the same bytes, of classes cat and dog',
        'train/cat/1.png',
        'train/dog/8.png',
      ],
      [
        'leak',
        '3 images with the same bytes, in train and in val, of classes dog and cat',
        'train/dog/0.jpg',
        'val/cat/7.jpg',
        'val/dog/7.jpg',
      ],
    ]);
  });

  test('images that EXIF rotates, and 16-bit grey images, are counted; neither is a problem', async () => {
    for (const [i, orientation] of [1, 3, 6, 8].entries()) {
      const image = sharp({
        create: { width: 18, height: 20, channels: 3, background: { r: i, g: 9, b: 9 } },
      });
      const type = i % 2 === 0 ? 'jpeg' : 'png';
      folder.write(
        `train/cat/turned${i}.${type}`,
        await image.withExif({}).withMetadata({ orientation }).toFormat(type).toBuffer(),
      );
    }
    const grey = await sharp(
      Uint16Array.from({ length: 400 }, (_, i) => 100 * i),
      {
        raw: { width: 20, height: 20, channels: 1 },
      },
    )
      .toColourspace('grey16')
      .png()
      .toBuffer();
    folder.write('val/dog/grey.png', grey);
    const { parts, problems } = await checkData(folder.path);
    expect(parts.train).toMatchObject({ turned: 3, grey16: 0 });
    expect(parts.val).toMatchObject({ turned: 0, grey16: 1 });
    expect(problems).toEqual([]);
  });

  test.each([
    [1, 20_000],
    [20_000, 1],
    [2, 9000],
  ])('an image of %i x %i pixels is named', async (width, height) => {
    await writeImage('train/cat/long.png', 95, width, height);
    const kinds = (await checkData(folder.path)).problems.filter(({ kind }) => kind === 'extreme_shape');
    expect(kinds).toEqual([
      {
        kind: 'extreme_shape',
        images: [at('train/cat/long.png')],
        detail: expect.stringMatching(
          new RegExp(`^the image is ${width} x ${height} pixels: .* pixels long$`),
        ),
      },
    ]);
  });

  test('unusually small images', async () => {
    await writeImage('train/cat/6.png', 93, 300, 1);
    await writeImage('train/cat/7.png', 94, 2, 300);
    expect(found(await checkData(folder.path))).toEqual([['tiny', '300 x 1 pixels', 'train/cat/6.png']]);
  });

  test('a part that cannot be opened; the other is read', async () => {
    rmSync(at('val'), { recursive: true });
    folder.write('val/ILSVRC2012_val_00000001.JPEG', '');
    const report = await checkData(folder.path);
    expect(found(report)).toEqual([['damaged', expect.stringContaining('images without class folders')]]);
    expect(Object.keys(report.parts)).toEqual(['train']);
  });
});

describe('other formats', () => {
  beforeEach(() => {
    vi.stubEnv('DEEP_INCUBATION_CACHE', at('.cache'));
  });

  test('shards: a damaged one, and images in the others', async () => {
    for (const { name, tar } of fixture.shards) folder.write(name, unpacked(tar));
    folder.write('train-000002.tar', 'damaged');
    const [{ tar }] = fixture.shards;
    const bytes = unpacked(tar);
    // The first bytes of the first image.
    bytes.fill(0, 512, 514);
    folder.write('train-000000.tar', bytes);
    const report = await checkData(folder.path);
    expect(report.format).toBe('shards');
    expect(report.parts).toMatchObject({ train: { images: 8, unreadable: 1 }, val: { images: 3 } });
    expect(found(report)).toEqual([
      ['damaged', expect.stringContaining('train-000002.tar is truncated')],
      ['unreadable', expect.any(String), 'train-000000.tar: n00/img_0000.jpg'],
    ]);
  });

  test('CIFAR-10: pixels in memory', async () => {
    for (let i = 1; i <= 5; i++) folder.write(`data_batch_${i}.bin`, cifarRecords(i, [10], 8));
    const val = cifarRecords(6, [10], 12);
    cifarRecords(1, [10], 8).copy(val, 3073, 3073, 2 * 3073);
    folder.write('test_batch.bin', val);
    const report = await checkData(folder.path);
    expect(report.parts.train).toMatchObject({ images: 40, widths: { min: 32, max: 32 } });
    expect(found(report)).toEqual([
      [
        'leak',
        '2 images with the same bytes, in train and in val',
        'data_batch_1.bin, image 1',
        'test_batch.bin, image 1',
      ],
    ]);
  });

  test('no data at all is an InputError', async () => {
    await expect(checkData(at('none'))).rejects.toThrow(InputError);
    await expect(checkData(folder.path)).rejects.toThrow(/contains no images/);
    mkdirSync(at('train/cat'), { recursive: true });
    await expect(checkData(folder.path)).rejects.toThrow(/contains no images/);
  });
});
