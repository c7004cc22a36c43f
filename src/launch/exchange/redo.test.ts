import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { lockFolder } from '../../files/folder-lock.js';
import { setAside } from './redo.js';

test('no phase is moved while one is being trained', async () => {
  const run = mkdtempSync(join(tmpdir(), 'redo a run-'));
  writeFileSync(join(run, 'recipe.json'), '{}');
  for (const phase of ['MT/1', 'FT']) mkdirSync(join(run, phase), { recursive: true });
  const lock = await lockFolder(join(run, 'FT'));
  expect(() => setAside(run, ['MT/1', 'FT'])).toThrow(
    expect.objectContaining({
      message: expect.stringContaining(`FT is being trained by process ${process.pid}`),
      // The command must be usable in a shell.
      hint: `stop it first: npx deep-incubation cancel '${run}'`,
    }),
  );
  expect(existsSync(join(run, 'MT/1'))).toBe(true);
  expect(existsSync(join(run, 'previous'))).toBe(false);
  lock.release();
  expect(setAside(run, ['MT/1', 'FT'])).toBe(join(run, 'previous', '1'));
  expect(existsSync(join(run, 'previous/1/FT'))).toBe(true);
});

test('an interrupted redo has moved dependent phases first: no FT remains without its module', () => {
  const run = mkdtempSync(join(tmpdir(), 'redo-'));
  writeFileSync(join(run, 'recipe.json'), '{}');
  for (const phase of ['PT', 'FT']) mkdirSync(join(run, phase), { recursive: true });
  // MT/1 does not exist, so it cannot be moved.
  expect(() => setAside(run, ['PT', 'MT/1', 'FT'])).toThrow('previous/1: it no longer exists');
  expect(existsSync(join(run, 'PT'))).toBe(true);
  expect(existsSync(join(run, 'FT'))).toBe(false);
});
