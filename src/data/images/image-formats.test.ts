import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import { closeImages, openImages } from '../../torch/images.js';
import type { DecodeOptions, EncodedImage } from '../dataset.js';
import { evalBatches } from '../loader/loader.js';
import { decodeImage, orientationOf } from './decode.js';
import { imageFormatOf } from './image-format.js';

interface Case {
  name: string;
  size: [number, number];
  file: string;
  pixels: string;
}

type Fixture = Record<'WebP' | 'GIF' | 'BMP' | 'TIFF' | 'grey16' | 'turned' | 'refused', Case[]>;

/** Files of many kinds and what Pillow makes of them: test/fixtures/make-formats.py. */
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/formats.json', import.meta.url), 'utf8'),
);
const bytesOf = ({ file }: Pick<Case, 'file'>) => Buffer.from(file, 'base64');
const folder = testFolder();

const decoded = async (bytes: Uint8Array, options?: DecodeOptions) => {
  const { width, height, channels, data } = await decodeImage(bytes, options);
  expect(channels).toBe(3);
  return { size: [width, height], pixels: Buffer.from(data).toString('base64') };
};

describe.each(['WebP', 'GIF', 'BMP', 'TIFF'] as const)('%s', (format) => {
  test.each(fixture[format])('$name: the same bytes as Pillow', async ({ size, file, pixels }) => {
    const bytes = Buffer.from(file, 'base64');
    expect(imageFormatOf(bytes)).toBe(format);
    expect(await decoded(bytes)).toEqual({ size, pixels });
  });

  test.each([0.1, 0.5, 0.9])('truncated to %d of its length: an error, never grey rows', async (share) => {
    for (const each of fixture[format]) {
      const bytes = bytesOf(each);
      // Behind the first image may be others.
      if (/animated|pages/.test(each.name)) continue;
      const result = await decodeImage(bytes.subarray(0, Math.floor(share * bytes.length))).catch(
        (error) => error,
      );
      if (result instanceof InputError) continue;
      expect(`${each.name}: ${Buffer.from(result.data).toString('base64')}`).toBe(
        `${each.name}: ${each.pixels}`,
      );
    }
  });
});

describe('16-bit grey', () => {
  test.each(fixture.grey16)('$name: clipped as Pillow clips, or scaled', async ({ size, file, pixels }) => {
    const bytes = Buffer.from(file, 'base64');
    expect(await decoded(bytes)).toEqual({ size, pixels });
    const { data } = await decodeImage(bytes, { grey16: 'scale' });
    const values = [0, 1, 100, 254, 255, 256, 300, 5000, 32768, 65280, 65535];
    expect(Array.from(data.filter((_, i) => i % 3 === 0).subarray(0, 11))).toEqual(
      values.map((value) => value >> 8),
    );
  });
});

describe("EXIF's orientation", () => {
  test.each(fixture.turned)('$name: applied as exif_transpose does', async ({ name, size, file, pixels }) => {
    const [path, bytes] = [folder.write('image', Buffer.from(file, 'base64')), Buffer.from(file, 'base64')];
    const orientation = Number(/\d$/.exec(name)?.[0]);
    const expected = orientation >= 1 && orientation <= 8 ? orientation : 1;
    const [opened] = await openImages([{ file: path }]);
    if ('handle' in opened) {
      closeImages([opened.handle]);
      expect(opened.orientation).toBe(expected);
    } else {
      expect(await orientationOf(bytes)).toBe(expected);
    }
    expect(await batchOf({ file: path, exif: 'apply' })).toEqual({ size, pixels });
    const ignored = await batchOf({ file: path, exif: 'ignore' });
    expect(ignored.size).toEqual([13, 9]);
    expect(await batchOf({ file: path })).toEqual(ignored);
  });
});

/** An image as the loader gives it. */
async function batchOf(source: EncodedImage) {
  const dataset = {
    length: 1,
    classes: ['x'],
    label: () => 0,
    describe: () => 'image',
    source: () => source,
  };
  for await (const { width, height, images } of evalBatches({ dataset, batchSize: 1 })) {
    const plane = width * height;
    const pixels = Uint8Array.from(
      { length: 3 * plane },
      (_, i) => images[(i % 3) * plane + Math.floor(i / 3)],
    );
    return { size: [width, height], pixels: Buffer.from(pixels).toString('base64') };
  }
  throw new Error('no batch');
}

test.each(fixture.refused)('TIFF with $name: refused, because its pixels would differ', async ({ file }) => {
  await expect(decodeImage(Buffer.from(file, 'base64'))).rejects.toThrow(
    /a TIFF with .*, which is not supported/,
  );
});

describe('a file that is not an image is named', () => {
  test.each<[string, string | Buffer, RegExp]>([
    ['nothing', '', /the file is empty/],
    ['a web page', '<!DOCTYPE html>\n<html><body>404</body></html>', /not an image but an HTML page/],
    ['a web page without a doctype', '\n<html lang="en">', /HTML page/],
    ['a web page behind a byte-order mark', '\ufeff<!doctype HTML>', /HTML page/],
    [
      'a pointer',
      'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n',
      /Git LFS pointer.*git lfs pull/,
    ],
    [
      'an error of a store',
      '<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
      /an XML document/,
    ],
    ['a drawing', '<svg xmlns="http://www.w3.org/2000/svg"/>', /SVG/],
    ['AVIF', Buffer.from('\0\0\0\x1cftypavif', 'latin1'), /AVIF/],
    ['HEIC', Buffer.from('\0\0\0\x1cftypheic', 'latin1'), /HEIC/],
    ['a video', Buffer.from('\0\0\0\x1cftypisom', 'latin1'), /video/],
    ['a zip archive', 'PK\x03\x04', /zip archive/],
    ['JSON', '{"error": "not found"}', /JSON/],
    ['text', 'hello', /text/],
    ['zeros', Buffer.alloc(4096), /zeros/],
    ['AppleDouble', Buffer.from('00051607000200004d6163204f53', 'hex'), /AppleDouble/],
    ['noise', Buffer.from([1, 200, 3, 4, 5]), /unknown format/],
  ])('%s', async (_, content, message) => {
    await expect(decodeImage(Buffer.from(content))).rejects.toThrow(message);
    const file = folder.write('photo.jpg', content);
    await expect(batchOf({ file })).rejects.toThrow(message);
  });
});
