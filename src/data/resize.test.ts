import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Box, Image } from './dataset.js';
import type { PixelStep } from './pixels.js';
import { resizeBicubic } from './resize.js';
import { evalTransform } from './transform.js';

interface Fixture {
  resize: {
    size: [number, number, 1 | 3];
    box: [number, number, number, number] | null;
    to: [number, number];
    pixels: string;
  }[];
  eval: { from_size: [number, number]; size: number; pixels: string }[];
}

/** Made by test/fixtures/make-pil.py, whose noise() gives the same pixels. */
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../test/fixtures/pil-resize.json', import.meta.url), 'utf8'),
);

function noiseImage(width: number, height: number, channels: 1 | 3): Image {
  const data = Uint8Array.from(
    { length: width * height * channels },
    (_, i) => (i * 7919 + ((i * i) % 251)) % 256,
  );
  return { width, height, channels, data };
}

/** A step that stays inside the image. */
function done(image: Image, step: PixelStep): Image {
  if (step.op === 'resize') return resizeBicubic(image, step.width, step.height, step.box);
  if (step.op !== 'crop') throw new Error(step.op);
  const { left, top, width, height } = step.box;
  const rows = Array.from({ length: height }, (_, y) => {
    const from = ((top + y) * image.width + left) * image.channels;
    return image.data.subarray(from, from + width * image.channels);
  });
  return { ...image, width, height, data: Buffer.concat(rows) };
}

describe('the same bytes as Pillow', () => {
  test.each(fixture.resize)('resize $size, box $box, to $to', ({ size, box, to, pixels }) => {
    const part: Box | undefined = box
      ? { left: box[0], top: box[1], width: box[2] - box[0], height: box[3] - box[1] }
      : undefined;
    const out = resizeBicubic(noiseImage(...size), ...to, part);
    expect([out.width, out.height, out.channels]).toEqual([...to, size[2]]);
    expect(Buffer.from(out.data).toString('base64')).toBe(pixels);
  });

  test.each(fixture.eval)('evaluation at $size of an image of $from_size', ({ from_size, size, pixels }) => {
    const image = noiseImage(...from_size, 3);
    const out = evalTransform(size)(image).reduce(done, image);
    expect([out.width, out.height]).toEqual([size, size]);
    expect(Buffer.from(out.data).toString('base64')).toBe(pixels);
  });
});

const side = fc.integer({ min: 1, max: 40 });

test('an image of one colour keeps it at any size', () => {
  fc.assert(
    fc.property(side, side, side, side, fc.nat(255), (width, height, toWidth, toHeight, colour) => {
      const flat: Image = { width, height, channels: 1, data: new Uint8Array(width * height).fill(colour) };
      const out = resizeBicubic(flat, toWidth, toHeight);
      expect(out.data).toEqual(new Uint8Array(toWidth * toHeight).fill(colour));
    }),
  );
});

test('at the same size nothing changes', () => {
  fc.assert(
    fc.property(side, side, (width, height) => {
      const image = noiseImage(width, height, 3);
      expect(resizeBicubic(image, width, height)).toEqual(image);
    }),
  );
});
