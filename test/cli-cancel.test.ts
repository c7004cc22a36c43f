import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readRunStatus } from '../src/report/run-status.js';
import { newestStep } from '../src/run/checkpoint-store.js';
import { cli, jsonLines, start, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';

const folder = temporaryFolder();

test('a run on this machine: it saves a checkpoint and exits; then nothing is running', async () => {
  const images = join(folder, 'images');
  await writeImages(images, { train: 16, val: 8 });
  const recipe = join(folder, 'long.json');
  writeFileSync(recipe, JSON.stringify({ ...tinyRecipe(images), phases: { PT: { epochs: 20_000 } } }));
  const run = join(folder, 'run');
  const training = start(['run', recipe, '--out', run]);
  await until(() => jsonLines(join(run, 'PT/metrics.jsonl')).length > 20, 'training');

  const cancelled = await cli(['cancel', run]);
  expect(cancelled).toMatchObject({ code: 0, stderr: '' });
  expect(cancelled.stdout).toContain(`the run: process ${training.process.pid} saves a checkpoint and exits`);
  expect(await training.ended).toMatchObject({ code: 143 });
  expect(newestStep(join(run, 'PT'))).toBeGreaterThan(0);
  expect(readRunStatus(run)).toMatchObject({ state: 'stopped', supervisor: null });

  const again = await cli(['cancel', run]);
  expect(again).toMatchObject({ code: 0, stdout: 'No phase of this run is running.\n' });

  // Another process with the PID of an ended one is not stopped.
  const other = spawn('sleep', ['60']);
  writeFileSync(
    join(run, '.lock'),
    JSON.stringify({ pid: other.pid, host: hostname(), started: 'long ago' }),
  );
  expect(await cli(['cancel', run])).toMatchObject({ code: 0, stdout: 'No phase of this run is running.\n' });
  expect([other.exitCode, other.signalCode]).toEqual([null, null]);
  other.kill('SIGKILL');

  // A process on another machine is reported, but not stopped.
  writeFileSync(join(run, '.lock'), JSON.stringify({ pid: 1, host: 'node7', started: '1' }));
  const refused = await cli(['cancel', run]);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('runs on node7');
});

test('a folder that is not a run is refused', async () => {
  expect(await cli(['cancel', folder])).toMatchObject({ code: 2 });
  expect(await cli(['status', folder])).toMatchObject({ code: 2 });
});
