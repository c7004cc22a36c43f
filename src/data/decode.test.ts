import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { decodeImage } from './decode.js';

interface Fixture {
  decode: { name: string; size: [number, number]; file: string; pixels: string }[];
}

/** Files written and read back by Pillow: test/fixtures/make-pil.py. */
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../test/fixtures/pil-decode.json', import.meta.url), 'utf8'),
);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'decode-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function written(name: string, bytes: Uint8Array): string {
  const file = join(folder, name);
  writeFileSync(file, bytes);
  return file;
}

test.each(fixture.decode)('$name: the same bytes as Pillow', async ({ name, size, file, pixels }) => {
  const image = await decodeImage({ file: written(name, Buffer.from(file, 'base64')) });
  expect([image.width, image.height, image.channels]).toEqual([...size, 3]);
  expect(Buffer.from(image.data).toString('base64')).toBe(pixels);
});

describe.each(['rgb.jpg', 'progressive.jpg', 'rgb.png', 'palette.png'])('%s', (name) => {
  const whole = Buffer.from(fixture.decode.find((each) => each.name === name)?.file ?? '', 'base64');
  // A PNG's last 12 bytes are its end mark, which Pillow does not ask for either.
  const needed = name.endsWith('png') ? whole.length - 12 : whole.length;

  test.each([1, 2, 30, 100, needed >> 1, needed - 10])('cut by %i bytes', async (cut) => {
    const file = written(`cut-${cut}-${name}`, whole.subarray(0, needed - cut));
    const decoded = decodeImage({ file });
    await expect(decoded).rejects.toThrow(InputError);
    await expect(decoded).rejects.toThrow(file);
  });
});

test('a file that is empty, no image, or missing is an InputError naming it', async () => {
  const files = [
    written('empty.png', new Uint8Array(0)),
    written('text.jpg', Buffer.from('hello')),
    join(folder, 'none.png'),
    folder,
  ];
  for (const file of files) {
    const decoded = decodeImage({ file });
    await expect(decoded).rejects.toThrow(InputError);
    await expect(decoded).rejects.toThrow(file);
  }
});

test('a file that is replaced is read anew', async () => {
  const [first, second] = ['rgb.png', 'grey.png'].map((name) => {
    const found = fixture.decode.find((each) => each.name === name);
    return Buffer.from(found?.file ?? '', 'base64');
  });
  const before = await decodeImage({ file: written('replaced.png', first) });
  const after = await decodeImage({ file: written('replaced.png', second) });
  expect(Buffer.compare(before.data, after.data)).not.toBe(0);
});
