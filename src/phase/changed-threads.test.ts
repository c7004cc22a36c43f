import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { changedThreads } from './changed-threads.js';

function runWith(manifest: object | undefined): string {
  const run = mkdtempSync(join(tmpdir(), 'threads-'));
  if (manifest === undefined) return run;
  const folder = join(run, 'MT/0/checkpoints/40');
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'manifest.json'), JSON.stringify({ format: 1, step: 40, ...manifest }));
  return run;
}

test('a phase resumed with another number of threads reports the change, and how to keep the number', () => {
  const text = changedThreads(runWith({ threads: 4 }), 'MT/0', 1);
  expect(text).toMatch(
    /^assumed: MT\/0 resumes with run\.threads 1, but its last checkpoint was made with 4: /,
  );
  expect(text).toContain('--set run.threads=4');
});

test.each([
  ['as many threads', { threads: 2 }],
  ['a checkpoint of an older version, or of a GPU', {}],
  ['a damaged manifest', { threads: 'two' }],
  ['no checkpoint', undefined],
])('with %s there is no message', (_, manifest) => {
  expect(changedThreads(runWith(manifest), 'MT/0', 2)).toBeUndefined();
});
