import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { tinyRecipe, writeImages } from '../../test/cli-support.js';
import { InputError } from '../base/errors.js';
import { lockFolder } from '../files/folder-lock.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { holdRun } from './hold-run.js';
import { prepareRun } from './prepare.js';

const folder = mkdtempSync(join(tmpdir(), 'prepare-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeImages(join(folder, 'images'), { train: 8, val: 1 }));

const recipe = (seed: number) => checkedRecipe({ ...tinyRecipe(join(folder, 'images')), seed }, 'the recipe');
const seedIn = (run: string) => JSON.parse(readFileSync(join(run, 'recipe.json'), 'utf8')).seed;

test.each(['.', 'E2E'])('if another process holds %s, the run keeps its recipe', async (part) => {
  const run = join(folder, `held-${part.length}`);
  prepareRun(recipe(0), run);
  mkdirSync(join(run, part), { recursive: true });
  const other = spawn('sleep', ['100']);
  await once(other, 'spawn');
  const started = readFileSync(`/proc/${other.pid}/stat`, 'utf8').split(' ')[21];
  writeFileSync(join(run, part, '.lock'), JSON.stringify({ pid: other.pid, host: hostname(), started }));

  expect(() => prepareRun(recipe(1), run)).toThrow(InputError);
  expect(() => prepareRun(recipe(1), run)).toThrow('was written by another recipe: seed 1 instead of 0');
  expect(seedIn(run)).toBe(0);
  // More phases of the same run may start at the same time.
  prepareRun(recipe(0), run);

  other.kill();
  await once(other, 'exit');
  prepareRun(recipe(1), run);
  expect(seedIn(run)).toBe(1);
});

test('the holder of a run may change its recipe until something has been trained', async () => {
  const run = join(folder, 'own');
  const lock = await holdRun(run);
  prepareRun(recipe(0), run);
  prepareRun(recipe(1), run);
  lock.release();
  expect(seedIn(run)).toBe(1);
});

test('a run is locked before anything is written; a failed preparation leaves nothing behind', async () => {
  const run = join(folder, 'new/deep/run');
  const lock = await holdRun(run);
  await expect(holdRun(run)).rejects.toThrow('is in use by process');
  await expect(lockFolder(run)).rejects.toThrow('is in use by process');
  lock.release();
  expect(existsSync(join(folder, 'new'))).toBe(false);

  mkdirSync(join(folder, 'old'));
  (await holdRun(join(folder, 'old'))).release();
  expect(existsSync(join(folder, 'old'))).toBe(true);
});

test('if no folder can be created, the error says so', async () => {
  writeFileSync(join(folder, 'file'), '');
  symlinkSync('nowhere', join(folder, 'dangling'));
  for (const path of ['file', 'file/run', 'dangling']) {
    await expect(holdRun(join(folder, path))).rejects.toThrow(`Cannot write ${join(folder, path)}`);
  }
  // Node's recursive mkdir never returns here.
  await expect(holdRun('/proc/run/deep')).rejects.toThrow('Cannot write /proc/run/deep');
});
