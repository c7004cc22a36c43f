import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { directoryEntry, directoryOf, localHeader, readZipDirectory } from './torch-zip.js';

const folder = mkdtempSync(join(tmpdir(), 'torch-zip-write-'));
afterAll(() => rmSync(folder, { recursive: true }));

const GIB = 2 ** 30;

test('records beyond 4 GiB, and of more than 4 GiB, in a file with holes', async () => {
  const path = join(folder, 'large');
  const descriptor = openSync(path, 'w');
  const records = [
    { name: 'a/data.pkl', bytes: 3, at: 0 },
    { name: 'a/data/0', bytes: 5 * GIB, at: GIB },
    { name: 'a/data/1', bytes: 2 ** 32 - 1, at: 7 * GIB },
    { name: 'a/data/2', bytes: 2 ** 32 - 2, at: 12 * GIB },
  ];
  const heads = records.map(({ name, bytes, at }) => localHeader(name, bytes, at));
  for (const [i, head] of heads.entries()) writeSync(descriptor, head, 0, head.length, records[i].at);
  const entries = records.map(({ name, bytes, at }) => directoryEntry(name, bytes, 7, at));
  const directory = directoryOf(entries, 17 * GIB);
  writeSync(descriptor, directory, 0, directory.length, 17 * GIB);
  closeSync(descriptor);

  const read = [...(await readZipDirectory(path)).values()];
  expect(read).toEqual(
    records.map(({ name, bytes, at }, i) => ({ path, name, bytes, start: at + heads[i].length, crc32: 7 })),
  );
  expect(read.every(({ start }) => start % 64 === 0)).toBe(true);
});

test('more records than a directory without zip64 can count', async () => {
  const path = join(folder, 'many');
  const descriptor = openSync(path, 'w');
  const head = localHeader('0', 0, 0);
  writeSync(descriptor, head);
  // All records at one offset: only the directory matters here.
  const entries = Array.from({ length: 70_000 }, (_, i) => directoryEntry(String(i), 0, 0, 0));
  writeSync(descriptor, directoryOf(entries, head.length));
  closeSync(descriptor);
  expect((await readZipDirectory(path)).size).toBe(70_000);
});
