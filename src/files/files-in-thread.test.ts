import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { writeFilesInThread } from './files-in-thread.js';

// Where Linux has a file system in memory: not all versions of it can write past the cache.
const places = [tmpdir(), '/dev/shm'].filter((place) => existsSync(place));

test.each(places)('files of several parts are their bytes in sequence, in %s', async (place) => {
  const folder = mkdtempSync(join(place, 'files-'));
  try {
    const around = (size: number) => fc.integer({ min: -2, max: 2 }).map((by) => Math.max(0, size + by));
    const length = fc.oneof(...[0, 4096, 2 ** 22, 2 ** 22 + 4096].map(around));
    const file = fc.array(length, { maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(fc.array(file, { minLength: 1, maxLength: 2 }), async (lengths) => {
        const files = lengths.map((parts, i) => ({
          path: join(folder, String(i)),
          parts: parts.map((length, k) => new Uint8Array(length).fill(16 * i + k + 1)),
        }));
        const expected = files.map(({ parts }) => Buffer.concat(parts));
        const written = await writeFilesInThread(files);
        for (const [i, bytes] of expected.entries()) {
          expect(readFileSync(files[i].path).equals(bytes)).toBe(true);
          const sha256 = createHash('sha256').update(bytes).digest('hex');
          expect(written[i]).toEqual({ bytes: bytes.length, sha256 });
        }
      }),
      { numRuns: 25 },
    );
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('if one file cannot be written, the other one is written before the error is reported', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'files-'));
  try {
    const parts = () => [new Uint8Array(2 ** 24).fill(1)];
    const [good, bad] = [join(folder, 'good'), join(folder, 'missing/bad')];
    const writing = writeFilesInThread([
      { path: bad, parts: parts() },
      { path: good, parts: parts() },
    ]);
    await expect(writing).rejects.toMatchObject({ code: 'ENOENT' });
    expect(readFileSync(good).length).toBe(2 ** 24);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
