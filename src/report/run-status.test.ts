import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import pc from 'picocolors';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { tinyRecipe } from '../../test/cli-support.js';
import { type SyntheticPhase, syntheticRecords, syntheticResult } from '../../test/synthetic-run.js';
import { InputError } from '../base/errors.js';
import { lockFolder } from '../files/folder-lock.js';
import { recordJobs } from '../launch/slurm/slurm-jobs.js';
import { type PhaseStatus, writeStatus } from '../run/phase-status.js';
import { runFolder, writeResult } from '../run/run-folder.js';
import { readRunStatus } from './run-status.js';
import { standText } from './run-status-text.js';

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'stand-'));
  writeFileSync(join(run, 'recipe.json'), '{"name": "mine"}');
  const phases = [
    { phase: 'PT', steps: 94, needs: [], block_passes: 144384 },
    { phase: 'MT/0', steps: 470, needs: ['PT'], block_passes: 721920 },
    { phase: 'MT/1', steps: 470, needs: ['PT'], block_passes: 721920 },
    { phase: 'FT', steps: 47, needs: ['MT/0', 'MT/1'], block_passes: 72192 },
  ];
  writeFileSync(join(run, 'plan.json'), JSON.stringify({ phases }));
});
afterEach(() => rmSync(run, { recursive: true, force: true }));

const synthetic = (phase: string, stoppedAfter?: number): SyntheticPhase => ({
  phase,
  epochs: phase === 'PT' ? 2 : 10,
  top1: [10, 60],
  passes: 12,
  ...(stoppedAfter !== undefined && { stoppedAfter }),
});

/** What training has left of a phase. */
function trained(phase: string, stoppedAfter?: number): void {
  const { root, metrics, log } = runFolder(run).phase(phase);
  mkdirSync(root, { recursive: true });
  const records = syntheticRecords(synthetic(phase, stoppedAfter));
  writeFileSync(metrics, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  writeFileSync(log, 'words\n');
  if (stoppedAfter === undefined) writeResult(run, syntheticResult(synthetic(phase)));
}

const write = (phase: string, status: Partial<PhaseStatus>) =>
  writeStatus(run, phase, { state: 'running', pid: null, restarts: 0, last_error: null, ...status });
const standOf = (phase: string, ...queue: Parameters<typeof readRunStatus>[1][]) =>
  readRunStatus(run, ...queue).phases.find((each) => each.phase === phase);

test('nothing started: all phases wait, as planned', () => {
  expect(readRunStatus(run)).toMatchObject({ name: 'mine', state: 'waiting', supervisor: null });
  expect(standOf('FT')).toMatchObject({
    state: 'waiting',
    step: 0,
    steps: 47,
    loss: null,
    waits_for: ['MT/0', 'MT/1'],
    to_do: null,
    log: null,
    host: null,
  });
});

test('a run without a plan, such as unpacked work: the phases of its recipe remain', () => {
  rmSync(join(run, 'plan.json'));
  trained('PT');
  expect(readRunStatus(run)).toMatchObject({ state: 'done', phases: [{ phase: 'PT' }] });
  writeFileSync(join(run, 'recipe.json'), JSON.stringify(tinyRecipe('images')));
  const { state, phases } = readRunStatus(run);
  expect(state).toBe('waiting');
  expect(phases.map((each) => [each.phase, each.state])).toEqual([
    ['PT', 'done'],
    ...['MT/0', 'MT/1', 'FT', 'E2E'].map((name) => [name, 'waiting']),
  ]);
  expect(standOf('FT')).toMatchObject({ steps: null, waits_for: ['MT/0', 'MT/1'] });
});

test('a running phase: progress, speed and remaining time', async () => {
  trained('PT');
  trained('MT/0', 4);
  const lock = await lockFolder(run);
  write('MT/0', { pid: 77 });
  const stand = readRunStatus(run);
  lock.release();
  expect(stand).toMatchObject({ state: 'running', supervisor: { pid: process.pid, host: hostname() } });
  const [pt, module] = stand.phases;
  expect(pt).toMatchObject({ state: 'done', step: 94, top1: 60, to_do: null });
  // Of 4 x 47 steps every fifth was recorded: 185 of 470. A step takes 128 x 18 / 60,000 s.
  expect(module).toMatchObject({ state: 'running', step: 185, steps: 470, pid: 77, waits_for: [] });
  expect(module.images_per_second).toBeCloseTo(60_000 / 18, 6);
  expect(module.seconds_left).toBeCloseTo(285 * ((128 * 18) / 60_000), 6);
  // The whole run: at least this module, and another one of the same cost.
  expect(stand.seconds_left).toBeGreaterThan(2 * (module.seconds_left ?? 0));
  const text = standText(stand, pc.createColors(false));
  expect(text.split('\n')[0]).toMatch(/1 of \d phases done, about \d+ (s|min) of training left/);
});

describe('a phase with a problem says what to do', () => {
  const checkpoint = () => mkdirSync(join(run, 'PT/checkpoints/90'), { recursive: true });

  test('failed, with the hint of the phase', () => {
    trained('PT', 1);
    write('PT', {
      state: 'failed',
      last_error: 'loss is NaN at step 46',
      hint: 'lower training.optimizer.lr',
    });
    expect(standOf('PT')).toMatchObject({
      state: 'failed',
      last_error: 'loss is NaN at step 46',
      log: join(run, 'PT/log.txt'),
      to_do: 'lower training.optimizer.lr; then run again: it starts from the beginning',
    });
    expect(readRunStatus(run).state).toBe('failed');
  });

  test('lost: its process disappeared', () => {
    trained('PT', 1);
    checkpoint();
    write('PT', { state: 'running', pid: 7 });
    expect(standOf('PT')).toMatchObject({
      state: 'lost',
      pid: null,
      host: hostname(),
      last_error: 'its supervising process disappeared',
      to_do: 'run again: it resumes from its checkpoint of step 90',
    });
  });

  test('stopped by the user', () => {
    trained('PT', 1);
    write('PT', { state: 'stopped' });
    expect(standOf('PT')).toMatchObject({
      state: 'stopped',
      last_error: null,
      to_do: 'run again: it starts from the beginning',
    });
  });

  test('restarting automatically', async () => {
    trained('PT', 1);
    checkpoint();
    const lock = await lockFolder(run);
    write('PT', { state: 'restarting', restarts: 2, last_error: 'died of SIGKILL' });
    const stand = standOf('PT');
    lock.release();
    expect(stand).toMatchObject({ state: 'restarting', restarts: 2, last_error: 'died of SIGKILL' });
    expect(stand?.to_do).toBe('nothing: it resumes from its checkpoint of step 90 automatically');
    const soon = new Date(Date.now() + 3_600_000).toISOString();
    const again = await lockFolder(run);
    write('PT', { state: 'restarting', restarts: 2, last_error: 'died of SIGKILL', next_start: soon });
    const waiting = standOf('PT');
    again.release();
    expect(waiting).toMatchObject({ next_start: soon });
    expect(waiting?.to_do).toMatch(/^nothing: in 3[56]\d\d s it resumes from/);
  });
});

test('a phase that holds its own folder is running, without a supervisor', async () => {
  trained('PT', 1);
  const lock = await lockFolder(join(run, 'PT'));
  expect(standOf('PT')).toMatchObject({ state: 'running', pid: process.pid });
  lock.release();
});

describe('jobs of Slurm', () => {
  const pending = { state: 'PENDING', reason: 'Dependency' };
  beforeEach(() => recordJobs(run, [{ phase: 'MT/1', job: '12_1', script: 'MT.sh', submitted: 'now' }]));

  test('a phase that never started is queued, according to the folder', () => {
    expect(standOf('MT/1')).toMatchObject({ state: 'queued', job: '12_1' });
    expect(standOf('MT/0')).toMatchObject({ state: 'waiting', job: null });
  });

  test('in Slurm’s queue: queued, even if it was lost or failed before', () => {
    const queue = new Map([['12_1', pending]]);
    expect(standOf('MT/1', queue)?.state).toBe('queued');
    trained('MT/1', 1);
    for (const state of ['running', 'failed', 'stopped'] as const) {
      write('MT/1', { state });
      expect(standOf('MT/1', queue)?.state).toBe('queued');
    }
    // Its script is about to start it again.
    write('MT/1', { state: 'running' });
    const running = new Map([['12_1', { state: 'RUNNING', reason: 'None' }]]);
    expect(standOf('MT/1', running)?.state).toBe('restarting');
  });

  test('no longer in Slurm’s queue', () => {
    const gone = 'its Slurm job 12_1 left the queue before it started';
    expect(standOf('MT/1', new Map())).toMatchObject({ state: 'stopped', last_error: gone, log: null });
    // The shell has written the reason before there was a log.
    mkdirSync(join(run, 'MT/1'), { recursive: true });
    const printed = join(run, 'MT/1/slurm-12_1.txt');
    writeFileSync(printed, 'module: command not found');
    expect(standOf('MT/1', new Map())?.log).toBe(printed);
    expect(standOf('MT/1', new Map())?.last_error).toBe('its Slurm job 12_1 ended before training started');
    trained('MT/1', 1);
    write('MT/1', { state: 'running' });
    expect(standOf('MT/1', new Map())?.state).toBe('lost');
  });
});

describe('how the run continues', () => {
  const commandOf = () => readRunStatus(run).command;

  test('nothing is running: the command to resume', () => {
    expect(commandOf()).toBe(`npx deep-incubation run ${run}`);
    trained('PT');
    recordJobs(run, [{ phase: 'PT', job: '12', script: 'PT.sh', submitted: 'now' }]);
    expect(commandOf()).toBe(`npx deep-incubation run ${run} --launcher slurm`);
  });

  test('everything continues automatically: no command until a phase has failed', async () => {
    const lock = await lockFolder(run);
    expect(commandOf()).toBeNull();
    trained('PT', 1);
    write('PT', { state: 'failed', last_error: 'PT: the loss is NaN' });
    const text = standText(readRunStatus(run), pc.createColors(false));
    lock.release();
    expect(text).toContain('PT failed: the loss is NaN');
    expect(text).toContain(`After process ${process.pid} has ended: npx deep-incubation run ${run}`);
  });

  test('the name of a phase is not matched inside another name', () => {
    trained('MT/1', 1);
    write('MT/1', { state: 'stopped', last_error: 'MT/10 failed' });
    expect(standText(readRunStatus(run), pc.createColors(false))).toContain('MT/1 stopped: MT/10 failed');
  });

  test('all done: the report, or the command that writes it', () => {
    for (const phase of ['PT', 'MT/0', 'MT/1', 'FT']) trained(phase);
    const lastLine = () => standText(readRunStatus(run), pc.createColors(false)).split('\n').at(-1);
    expect(lastLine()).toBe(`To write the summary and report: npx deep-incubation run ${run}`);
    mkdirSync(join(run, 'report'));
    writeFileSync(join(run, 'report/index.html'), '');
    writeFileSync(join(run, 'summary.json'), '{}');
    expect(lastLine()).toBe(`Report: ${join(run, 'report/index.html')}`);
  });
});

test('a page for a person', () => {
  trained('PT');
  trained('MT/0', 4);
  write('MT/0', { state: 'failed', last_error: 'died of SIGSEGV', hint: 'report it', restarts: 3 });
  const text = standText(readRunStatus(run), pc.createColors(false)).replaceAll(run, 'RUN');
  expect(text.split('\n')).toEqual([
    'mine  failed, 1 of 4 phases done, about 31 s of training left  RUN',
    '',
    'phase  state      steps         train loss    top-1  train images/s  left  restarts  where',
    'PT     done       94/94  100 %       1.310  60.00 %           3,333',
    'MT/0   failed   185/470   39 %       1.562  46.77 %           3,333               3',
    'MT/1   waiting    0/470    0 %',
    'FT     waiting     0/47    0 %                                                       after MT/0, MT/1',
    '',
    'MT/0 failed: died of SIGSEGV',
    '  log    RUN/MT/0/log.txt',
    '  to do  report it; then run again: it starts from the beginning',
    '',
    'No phase is running. To resume: npx deep-incubation run RUN',
  ]);
});

test.each([
  [85, 'phase state steps train loss top-1 left restarts where'],
  [60, 'phase state steps top-1 left where'],
])('a terminal of %i columns shows %s', (columns, head) => {
  trained('PT');
  write('MT/0', { state: 'failed', last_error: 'died', restarts: 3 });
  const lines = standText(readRunStatus(run), pc.createColors(false), columns).split('\n').slice(2, 7);
  expect(lines[0].split(/ +/).join(' ')).toBe(head);
  expect(lines[4]).toMatch(/^FT {5}waiting .* after MT\/0, MT\/1$/);
});

test('refuses a folder that is not a run', () => {
  expect(() => readRunStatus(tmpdir())).toThrow(InputError);
});
