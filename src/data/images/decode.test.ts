import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { decodeImage } from './decode.js';

interface Fixture {
  decode: { name: string; size: [number, number]; file: string; pixels: string }[];
}

/** Files written and read back by Pillow: test/fixtures/make-pil.py, make-png.py. */
const [some, pngs] = ['pil-decode.json', 'png.json'].map((name): Fixture['decode'] => {
  const file = new URL(`../../../test/fixtures/${name}`, import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as Fixture).decode;
});

test.each([...some, ...pngs])('$name: the same bytes as Pillow', async ({ size, file, pixels }) => {
  const image = await decodeImage(Buffer.from(file, 'base64'));
  expect([image.width, image.height, image.channels]).toEqual([...size, 3]);
  expect(Buffer.from(image.data).toString('base64')).toBe(pixels);
});

describe.each(['rgb.jpg', 'progressive.jpg', 'rgb.png', 'palette.png'])('%s', (name) => {
  const whole = Buffer.from(some.find((each) => each.name === name)?.file ?? '', 'base64');
  // A PNG's last 12 bytes are its end mark, which Pillow does not ask for either.
  const needed = name.endsWith('png') ? whole.length - 12 : whole.length;

  test.each([1, 2, 30, 100, needed >> 1, needed - 10])('cut by %i bytes', async (cut) => {
    await expect(decodeImage(whole.subarray(0, needed - cut))).rejects.toThrow(InputError);
  });
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['text', Buffer.from('hello')],
])('%s is not an image', async (_, bytes) => {
  await expect(decodeImage(bytes)).rejects.toThrow(InputError);
});
