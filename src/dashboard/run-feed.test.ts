import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type Scene, writeDashboardRun } from '../../test/dashboard-run.js';
import { lockFolder } from '../files/folder-lock.js';
import { recordJobs } from '../launch/slurm/slurm-jobs.js';
import { readRunStatus } from '../report/run-status.js';
import type { StepRecord } from '../run/records.js';
import { runFolder } from '../run/run-folder.js';
import { createWatcher } from './events.js';
import { createRunFeed } from './run-feed.js';

const SCENES: readonly Scene[] = ['running', 'failed', 'finished'];
const templates = mkdtempSync(join(tmpdir(), 'run-feed-scenes-'));
beforeAll(() => {
  for (const scene of SCENES) writeDashboardRun(join(templates, scene), scene);
});
afterAll(() => rmSync(templates, { recursive: true }));

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'run-feed-'));
});
afterEach(() => rmSync(root, { recursive: true }));

/** The part of a run's state that both the page and the terminal show. */
async function bothOf() {
  const feed = createRunFeed(root, 0);
  const watcher = createWatcher([feed]);
  await watcher.catchUp();
  watcher.close();
  // On a busy machine, catching up may end before everything is read.
  let unread = true;
  while (unread) unread = feed.phases.some((phase) => phase.poll());
  const KEYS = [
    ...['phase', 'state', 'restarts', 'waits_for', 'last_error', 'to_do', 'host', 'pid', 'job', 'since'],
    ...['loss', 'images_per_second', 'seconds_left'],
  ];
  const part = (phase: object) =>
    Object.fromEntries(Object.entries(phase).filter(([key]) => KEYS.includes(key)));
  const [page, terminal] = [feed.state(), readRunStatus(root)].map(({ name, state, phases }) => ({
    name,
    state,
    phases: phases.map(part),
  }));
  return { page, terminal };
}

test.each(SCENES)('%s: the page shows the same as `status`', async (scene) => {
  cpSync(join(templates, scene), root, { recursive: true });
  const { page, terminal } = await bothOf();
  expect(page).toEqual(terminal);
  expect(Object.keys(page.phases[0])).toHaveLength(13);
});

test('also for a run under a supervisor, for jobs, and for an old folder', async () => {
  cpSync(join(templates, 'running'), root, { recursive: true });
  const lock = await lockFolder(root);
  const live = await bothOf();
  expect(live.page).toEqual(live.terminal);
  expect(live.page.state).toBe('running');
  lock.release();
  rmSync(join(root, 'MT/2/status.json'));
  recordJobs(root, [{ phase: 'FT', job: '7', script: 'FT.sh', submitted: '2026-03-01T09:12:00.000Z' }]);
  rmSync(join(root, 'FT/status.json'));
  const jobs = await bothOf();
  expect(jobs.page).toEqual(jobs.terminal);
  expect(jobs.page.phases.map(({ phase, state }) => `${phase} ${state}`)).toEqual([
    ...['PT done', 'MT/0 done', 'MT/1 done', 'MT/2 stopped', 'MT/3 lost', 'FT queued', 'E2E lost'],
  ]);
});

test('a missing folder, or a pipe in place of a file, does not stop the server', () => {
  cpSync(join(templates, 'running'), root, { recursive: true });
  const feed = createRunFeed(root, 0);
  feed.look();
  const before = feed.state();
  rmSync(join(root, 'MT/1/status.json'));
  execFileSync('mkfifo', [join(root, 'MT/1/status.json')]);
  rmSync(join(root, 'MT/0/checkpoints'), { recursive: true, force: true });
  writeFileSync(join(root, 'MT/0/checkpoints'), '');
  feed.look();
  expect(feed.state().phases).toHaveLength(before.phases.length);
});

test('a long history starts with the newest values and becomes complete', async () => {
  cpSync(join(templates, 'finished'), root, { recursive: true });
  const STEPS = 20_000;
  const { metrics } = runFolder(root).phase('PT');
  const line = (step: number) => {
    const record = {
      kind: 'step' as const,
      step,
      steps: STEPS,
      loss: 1 / step,
      seconds: step,
      block_passes: step,
    };
    return `${JSON.stringify(record satisfies Partial<StepRecord>)}\n`;
  };
  const evalLine = (step: number, top1: number) =>
    `${JSON.stringify({ kind: 'eval', step, top1, loss: 1 })}\n`;
  const lines = Array.from({ length: STEPS }, (_, i) => line(i + 1));
  lines.splice(1000, 0, evalLine(1000, 77));
  writeFileSync(metrics, lines.join('') + evalLine(STEPS, 66));

  const feed = createRunFeed(root, 0);
  feed.look();
  const [phase] = feed.phases;
  const state = () => feed.state().phases[0];
  expect(phase.poll()).toBe(true);
  expect(state()).toMatchObject({ step: STEPS, steps: STEPS, loss: 1 / STEPS, top1: 66 });
  expect(state().step_records).toBeLessThan(STEPS);
  expect(state().unread_bytes).toBeGreaterThan(0.5 * statSync(metrics).size);
  while (phase.poll());
  expect(state()).toMatchObject({ step_records: STEPS, eval_records: 2, unread_bytes: 0, best_top1: 77 });
  expect(state()).toMatchObject({ step: STEPS, loss: 1 / STEPS, top1: 66 });
});
