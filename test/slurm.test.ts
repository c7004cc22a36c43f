import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { askQueue, readJobs } from '../src/launch/slurm/slurm-jobs.js';
import type { PhaseOverview, RunStatus } from '../src/report/phase-condition.js';
import { readRunStatus } from '../src/report/run-status.js';
import { newestStep } from '../src/run/checkpoint-store.js';
import { cli, temporaryFolder, tinyRecipe, until, writeImages } from './cli-support.js';
import { needs, slurm } from './needs.js';
import { type Cluster, startCluster } from './slurm-cluster.js';

// A real Slurm of one node, started here.

describe('a run given to Slurm', { timeout: 1_200_000, ...needs(slurm) }, () => {
  const folder = temporaryFolder();
  const images = join(folder, 'images');
  let cluster: Cluster;
  beforeAll(async () => {
    await writeImages(images, { train: 16, val: 8 });
    cluster = await startCluster();
    for (const name of ['PATH', 'SLURM_CONF']) vi.stubEnv(name, cluster.env[name]);
  });
  afterAll(() => {
    vi.unstubAllEnvs();
    return cluster?.stop();
  });

  /** A recipe whose PT has `epochs` epochs of four steps. */
  function recipe(name: string, epochs: number, MT: object = {}): string {
    const path = join(folder, `${name}.json`);
    const tiny = { ...tinyRecipe(images), name, phases: { PT: { epochs }, MT } };
    writeFileSync(path, JSON.stringify(tiny));
    return path;
  }

  async function outputOf(...args: string[]): Promise<string> {
    const ended = await cli(args, { env: cluster.env });
    expect(ended).toMatchObject({ code: 0, stderr: expect.any(String) });
    return ended.stdout;
  }

  const submit = async (path: string, run: string): Promise<Record<string, string>> => {
    const { submitted } = JSON.parse(
      await outputOf(
        'run',
        path,
        '--out',
        run,
        '--launcher',
        'slurm',
        '--set',
        'run.slurm={time: "1:00:00", cpus: 1, args: [--comment=test]}',
        '--json',
      ),
    );
    return Object.fromEntries(submitted.map(({ phase, job }: PhaseOverview) => [phase, job]));
  };

  /** The status as the command prints it. */
  const statusOf = async (run: string): Promise<RunStatus> =>
    JSON.parse(await outputOf('status', run, '--json'));
  /** The same, without starting a process for each call. */
  const statusHere = async (run: string): Promise<RunStatus> =>
    readRunStatus(run, await askQueue(readJobs(run).map(({ job }) => job)));

  /** Waits until the status of a phase meets a condition. */
  async function phaseWhen(
    run: string,
    phase: string,
    isReached: (statusHere: PhaseOverview) => boolean,
  ): Promise<PhaseOverview> {
    let found: PhaseOverview | undefined;
    for (const end = Date.now() + 600_000; Date.now() < end; await sleep(100)) {
      found = (await statusHere(run)).phases.find((each) => each.phase === phase);
      if (found !== undefined && isReached(found)) return found;
    }
    const jobs = cluster.slurm('squeue', '--array');
    throw new Error(`timed out waiting for ${phase}: ${JSON.stringify(found, undefined, 2)}\n${jobs}`);
  }

  /** Starts a requeued job at once; Slurm would delay it for two minutes. */
  async function startNow(job: string): Promise<void> {
    let pendingSince: number | undefined;
    const hasStarted = () => {
      const state = cluster.slurm('squeue', '--noheader', `--jobs=${job}`, '--format=%T');
      if (state === 'PENDING') {
        pendingSince ??= performance.now();
        // The previous execution may still be ending; its end would be mistaken for that of the new one.
        if (performance.now() - pendingSince < 1000) return false;
        try {
          cluster.slurm('scontrol', 'update', `JobId=${job}`, 'StartTime=now');
        } catch {
          // Slurm refuses while it still cleans up the previous execution.
        }
      }
      return pendingSince !== undefined && state === 'RUNNING';
    };
    await until(hasStarted, `job ${job} to start again`);
  }

  const log = (run: string, phase: string) => readFileSync(join(run, phase, 'log.txt'), 'utf8');
  const resumedSteps = (run: string) =>
    [...log(run, 'PT').matchAll(/resumes from step (\d+)/g)].map(([, step]) => Number(step));

  test('PT, the modules as an array, FT; preempted and requeued during the run', async () => {
    const run = join(folder, 'whole');
    const path = recipe('whole', 400);
    const jobs = await submit(path, run);
    expect(Object.keys(jobs)).toEqual(['PT', 'MT/0', 'MT/1', 'FT']);
    expect([jobs['MT/0'], jobs['MT/1']]).toEqual([0, 1].map((task) => `${Number(jobs.PT) + 1}_${task}`));

    await phaseWhen(run, 'PT', ({ state, step }) => state === 'running' && step > 20);
    expect((await statusOf(run)).phases).toMatchObject([
      { phase: 'PT', state: 'running', job: jobs.PT, steps: 1600, restarts: 0 },
      { phase: 'MT/0', state: 'queued', job: jobs['MT/0'], waits_for: ['PT'] },
      { phase: 'MT/1', state: 'queued' },
      { phase: 'FT', state: 'queued', waits_for: ['MT/0', 'MT/1'] },
    ]);
    cluster.slurm('scontrol', 'requeue', jobs.PT);
    await phaseWhen(run, 'PT', ({ state }) => state === 'queued');
    const saved = newestStep(join(run, 'PT'));
    expect(saved).toBeGreaterThan(20);
    // Queued phases are neither submitted again nor trained here.
    expect(await submit(path, run)).toEqual({});
    const beside = await cli(['run', path, '--out', run], { env: cluster.env });
    expect(beside.code).toBe(2);
    expect(beside.stderr).toContain(`still in Slurm: PT (job ${jobs.PT}), MT/0 (job ${jobs['MT/0']})`);
    expect(beside.stderr).toContain(`deep-incubation cancel ${run}`);
    await startNow(jobs.PT);

    await phaseWhen(run, 'FT', ({ state }) => state === 'done');
    expect(resumedSteps(run)).toEqual([saved]);
    const ended = await statusOf(run);
    expect(ended.phases.map(({ state, step, restarts }) => [state, step, restarts])).toEqual([
      ['done', 1600, 1],
      ...Array(3).fill(['done', 8, 0]),
    ]);
    expect(readFileSync(join(run, 'MT/1', `slurm-${jobs['MT/1']}.txt`), 'utf8')).toContain('MT/1: top-1');
    // Repeated after the end, the command prints the summary.
    expect(await outputOf('run', path, '--out', run, '--launcher', 'slurm')).toContain('Deep Incubation');
  });

  test('near its time limit a job saves and requeues; killed, it restarts; cancelled, it exits', async () => {
    const run = join(folder, 'long');
    const { PT } = await submit(recipe('long', 20_000), run);
    const first = await phaseWhen(run, 'PT', ({ state, step }) => state === 'running' && step > 20);
    // Slurm sends this signal before the limit.
    cluster.slurm('scancel', '--batch', '--signal=USR1', PT);
    await phaseWhen(run, 'PT', ({ state }) => state === 'queued');
    const saved = newestStep(join(run, 'PT'));
    expect(saved).toBeGreaterThanOrEqual(first.step);
    await startNow(PT);

    const second = await phaseWhen(run, 'PT', ({ state, step }) => state === 'running' && step > saved + 20);
    expect(second.restarts).toBe(1);
    process.kill(second.pid as number, 'SIGKILL');
    const third = await phaseWhen(run, 'PT', ({ state, restarts }) => state === 'running' && restarts === 2);
    expect(third).toMatchObject({ job: PT, last_error: 'its process died with exit code 137' });
    // By then, the later records have been removed.
    await until(() => resumedSteps(run).length === 2, 'its going on');
    await phaseWhen(run, 'PT', ({ step }) => step > saved + 20);
    const [before, after] = resumedSteps(run);
    expect(before).toBe(saved);
    expect(after).toBeGreaterThanOrEqual(saved);

    expect(await outputOf('cancel', run)).toContain(`PT: job ${PT} cancelled`);
    const last = await phaseWhen(run, 'PT', ({ state }) => state === 'stopped');
    expect(last.to_do).toMatch(/^run again: it resumes from its checkpoint of step/);
    expect(newestStep(join(run, 'PT'))).toBeGreaterThan(saved + 20);
    expect(cluster.slurm('squeue', '--noheader', '--states=PENDING,RUNNING')).toBe('');
    expect(await outputOf('cancel', run)).toBe('No phase of this run is running.\n');
  });

  test('failed modules: FT is removed from the queue, and both are submitted again', async () => {
    const run = join(folder, 'failing');
    const path = recipe('failing', 2, { optimizer: { lr: 1e30 } });
    await submit(path, run);
    const module = await phaseWhen(run, 'MT/1', ({ state }) => state === 'failed');
    expect(module.last_error).toMatch(/^MT\/1: the loss is NaN at step/);
    expect(module.to_do).toMatch(/; then run again: it starts from the beginning$/);
    const gone = await phaseWhen(run, 'FT', ({ state }) => state === 'stopped');
    expect(gone.last_error).toMatch(/^its Slurm job \d+ left the queue before it started$/);
    await phaseWhen(run, 'MT/0', ({ state }) => state === 'failed');
    expect(Object.keys(await submit(path, run))).toEqual(['MT/0', 'MT/1', 'FT']);
    await outputOf('cancel', run);
  });
});
