import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { checkImage } from './data-check-read.js';

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../../../test/fixtures/${name}`, import.meta.url), 'utf8'));
const jpeg = Buffer.from(fixture('jpeg.json').files[0].file, 'base64');
const png = Buffer.from(fixture('png.json').decode[0].file, 'base64');

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'check-image-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function written(bytes: Uint8Array): { file: string } {
  const file = join(folder, 'image');
  writeFileSync(file, bytes);
  return { file };
}

test.each([
  ['JPEG', jpeg, { width: 70, height: 53, channels: 3 }],
  ['PNG', png, { width: 11, height: 7, channels: 3 }],
])('%s: its size if all of it can be read', async (_, bytes, size) => {
  expect(await checkImage(written(bytes))).toEqual({ ...size, orientation: 1, grey16: false });
  const cut = checkImage(written(bytes.subarray(0, bytes.length - 20)));
  await expect(cut).rejects.toThrow(InputError);
});

test('files that are not images, or are missing', async () => {
  await expect(checkImage(written(Buffer.from('hello')))).rejects.toThrow(InputError);
  await expect(checkImage({ file: join(folder, 'none') })).rejects.toThrow('No such file');
});
