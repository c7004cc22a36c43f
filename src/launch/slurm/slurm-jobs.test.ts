import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { openJobs, recordJobs, requireNoJobs } from './slurm-jobs.js';

// A stand-in for squeue lists the jobs.

let folder: string;
let run: string;
let notes: string[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'open-jobs-'));
  run = join(folder, 'run');
  notes = [];
  mkdirSync(join(run, 'PT'), { recursive: true });
  const job = (phase: string, id: string) => ({ phase, job: id, script: 'x.sh', submitted: 'now' });
  recordJobs(run, [job('PT', '11'), job('MT/0', '12_0'), job('MT/1', '12_1')]);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true, force: true });
});

function squeue(body: string): void {
  writeFileSync(join(folder, 'squeue'), `#!/bin/sh\n${body}\n`);
  chmodSync(join(folder, 'squeue'), 0o755);
  vi.stubEnv('PATH', `${folder}:/bin:/usr/bin`);
}

const check = () => requireNoJobs(run, (line) => notes.push(line));

test('jobs that are queued or run are named', async () => {
  squeue("printf '12_0|RUNNING|None\\n12_1|PENDING|Resources\\n'");
  await expect(check()).rejects.toMatchObject({
    name: 'InputError',
    message: `${run}: still in Slurm: MT/0 (job 12_0), MT/1 (job 12_1)`,
    hint: expect.stringContaining(`npx deep-incubation cancel ${run}`),
  });
});

test('jobs that ended, or whose phase is done, are not listed', async () => {
  squeue("printf '12_0|COMPLETING|None\\n'");
  expect(await openJobs(run)).toEqual({ jobs: [], isSure: true });
  squeue("echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1");
  await check();
  rmSync(join(run, 'slurm'), { recursive: true });
  squeue('exit 7');
  expect(await openJobs(run)).toEqual({ jobs: [], isSure: true });
  expect(notes).toEqual([]);
});

test('if Slurm does not answer, nothing is started', async () => {
  squeue("echo 'Unable to contact slurm controller' >&2; exit 1");
  await expect(check()).rejects.toMatchObject({
    name: 'RunError',
    message: expect.stringContaining('Slurm does not answer; the run had submitted PT (job 11)'),
  });
});

test('without Slurm, recorded jobs are reported', async () => {
  vi.stubEnv('PATH', folder);
  await check();
  expect(notes).toEqual([
    'Slurm cannot be queried on this machine; the run had submitted PT (job 11), MT/0 (job 12_0), MT/1 (job 12_1).',
  ]);
});
