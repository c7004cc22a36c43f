import { mkdirSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { writeFileAtomic, writeJsonAtomic } from './atomic.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'atomic-'));
});

test('writes text, bytes and JSON, makes the folder, replaces, and leaves nothing else behind', () => {
  const path = join(folder, 'a', 'b.bin');
  writeFileAtomic(path, 'a first, longer content');
  writeFileAtomic(path, new Uint8Array([1, 2, 255]));
  expect([...readFileSync(path)]).toEqual([1, 2, 255]);
  writeJsonAtomic(join(folder, 'a', 'c.json'), { x: [1] });
  expect(readFileSync(join(folder, 'a', 'c.json'), 'utf8')).toBe('{\n  "x": [\n    1\n  ]\n}\n');
  expect(readdirSync(join(folder, 'a')).sort()).toEqual(['b.bin', 'c.json']);
});

test('a write that fails leaves the old content and no temporary file', () => {
  const path = join(folder, 'taken');
  mkdirSync(path);
  writeFileSync(join(path, 'inside'), 'kept');
  expect(() => writeFileAtomic(path, 'new')).toThrow(InputError);
  expect(readFileSync(join(path, 'inside'), 'utf8')).toBe('kept');
  expect(readdirSync(folder)).toEqual(['taken']);
});

test('a folder that cannot be written is an input error that names it and says what to do', () => {
  writeFileSync(join(folder, 'file'), '');
  const path = join(folder, 'file', 'x.json');
  expect(() => writeJsonAtomic(path, {})).toThrow(
    expect.objectContaining({
      name: 'InputError',
      message: expect.stringContaining(path),
      hint: expect.stringContaining('--out'),
    }),
  );
});
