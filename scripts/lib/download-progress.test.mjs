import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { announcedBytes, bar, growingFile } from './download-progress.mjs';
import { createSteps } from './steps.mjs';
import { temporaryFolder } from './testing.mjs';

it('reads the size that pip announces for the last download', () => {
  expect(announcedBytes('Looking in indexes: x\n')).toBe(undefined);
  const first = 'Collecting torch==2.13.0\n  Downloading torch-2.13.0-cp311.whl (189.2 MB)\n';
  expect(announcedBytes(first)).toBeCloseTo(189.2e6, 0);
  expect(announcedBytes(`${first}Collecting a\n  Downloading a-1.whl (1.5 GB)\n`)).toBeCloseTo(1.5e9, 0);
  expect(announcedBytes('  Downloading https://host/a-1.whl.metadata (28 kB)\n')).toBe(28_000);
});

it.each([
  [0, '────────────────────  0 of 200 MB'],
  [50e6, '━━━━━───────────────  50 of 200 MB'],
  [200e6, '━━━━━━━━━━━━━━━━━━━━  200 of 200 MB'],
  [210e6, '━━━━━━━━━━━━━━━━━━━━  200 of 200 MB'],
])('%d of 200 MB', (done, text) => expect(bar(done, 200e6)).toBe(text));

it('finds the file that grows, though an earlier one is larger', () => {
  const folder = temporaryFolder();
  expect(growingFile(folder)).toBe(0);
  mkdirSync(join(folder, 'pip-unpack-1'));
  writeFileSync(join(folder, 'done.whl'), 'x'.repeat(1000));
  utimesSync(join(folder, 'done.whl'), 1000, 1000);
  writeFileSync(join(folder, 'pip-unpack-1/torch.whl'), 'x'.repeat(10));
  expect(growingFile(folder)).toBe(10);
});

it('is shown on a terminal only, and the next line replaces it', async () => {
  const run = async (/** @type {boolean} */ isTTY) => {
    let text = '';
    const steps = createSteps({ out: { isTTY, write: (more) => (text += more) } });
    await steps.run('libtorch', (note) => {
      note('downloading');
      note.progress?.('half');
    });
    return text.replaceAll(/[\d.]+ s/g, 'T');
  };
  expect(await run(false)).toBe('libtorch     ... downloading\nlibtorch       T\n');
  const clear = '\r\x1b[K';
  expect(await run(true)).toBe(
    `${clear}libtorch     ... downloading\n${clear}libtorch     ... half${clear}libtorch       T\n`,
  );
});
