import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { needs, proc } from '../../test/needs.js';
import { InputError, Interrupted, RunError } from '../base/errors.js';
import { lockFolder } from '../files/folder-lock.js';
import { readStatus } from '../run/phase-status.js';
import { type RestartTiming, runPhaseProcess } from './phase-process.js';

// A phase's process without training. `lives.json` says what its n-th start does.
const FAKE = `
import { appendFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
const [run, phase] = process.argv.slice(2);
const root = run + '/' + phase;
appendFileSync(run + '/started', '.');
const life = readFileSync(run + '/started', 'utf8').length;
const { save, die, send } = JSON.parse(readFileSync(run + '/lives.json', 'utf8'))[life - 1] ?? {};
if (save !== undefined) mkdirSync(root + '/checkpoints/' + save, { recursive: true });
if (send !== undefined) { process.send(send); process.exitCode = 1; process.disconnect(); }
else if (die === 'hang') setInterval(() => {}, 1000);
else if (typeof die === 'string') process.kill(process.pid, die);
else if (die !== undefined) { console.error('bad luck'); process.exit(die); }
else {
  const zeros = { steps: 0, images: 0, block_passes: 0, macs: 0, seconds: 0, top1: 0, top5: 0, loss: 0 };
  const rest = { parameters: 0, trained_parameters: 0, memory_bytes: 0 };
  writeFileSync(root + '/result.json', JSON.stringify({ phase, ...zeros, ...rest }));
  process.disconnect();
}
`;

interface Life {
  /** Writes a checkpoint of this step. */
  save?: number;
  /** Ends with this code or signal, or hangs; if undefined, the phase finishes. */
  die?: number | NodeJS.Signals | 'hang';
  /** Sends this message and exits with code 1. */
  send?: object;
}

let runDir: string;
let notes: string[];
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'phase-process-'));
  writeFileSync(join(runDir, 'fake.mjs'), FAKE);
  notes = [];
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(runDir, { recursive: true, force: true });
});

const at = (...names: string[]) => join(runDir, ...names);
const lives = () => readFileSync(at('started'), 'utf8').length;

/** @param onNote may stop it */
function run(
  script: Life[],
  options: { timing?: Partial<RestartTiming>; onNote?: (stop: () => void) => void } = {},
) {
  writeFileSync(at('lives.json'), JSON.stringify(script));
  const stop = new AbortController();
  return runPhaseProcess({
    command: [process.execPath, at('fake.mjs')],
    runDir,
    phases: ['MT/1'],
    threads: 1,
    device: 'cpu',
    signal: stop.signal,
    note: (line) => {
      notes.push(line);
      options.onNote?.(() => stop.abort());
    },
    timing: { backoffMs: 5, ...options.timing },
  });
}

test('a finished phase is not trained again, and its status says so', async () => {
  await run([{}]);
  expect(notes).toEqual([]);
  const status = JSON.parse(readFileSync(at('MT/1/status.json'), 'utf8'));
  expect(status).toEqual({
    state: 'done',
    pid: null,
    host: hostname(),
    restarts: 0,
    last_error: null,
    since: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  });
});

test('a phase that dies is restarted; the reason is printed, logged and recorded', async () => {
  await run([{ die: 'SIGSEGV' }, { die: 3 }, {}]);
  expect(lives()).toBe(3);
  expect(notes).toEqual([
    'MT/1 died of SIGSEGV (a crash in native code); resuming from its last checkpoint in 0.0050 s (restart 1)',
    'MT/1 ended with exit code 3: bad luck; resuming from its last checkpoint in 0.010 s (restart 2)',
  ]);
  const log = readFileSync(at('MT/1/log.txt'), 'utf8');
  for (const line of [...notes, '  bad luck']) expect(log).toContain(line);
  expect(readStatus(runDir, 'MT/1')).toMatchObject({
    state: 'done',
    restarts: 2,
    last_error: 'ended with exit code 3: bad luck',
  });
});

test('four deaths in a row without a new checkpoint are a failure', async () => {
  const failure = await run([{ save: 5, die: 1 }, { die: 1 }, { die: 'SIGABRT' }, { die: 1 }, {}]).catch(
    (e) => e,
  );
  expect(failure).toBeInstanceOf(RunError);
  expect(failure.message).toBe(
    'MT/1 ended with exit code 1: bad luck; 4 times in a row without a new checkpoint',
  );
  expect(failure.hint).toBe(`its log is ${at('MT/1/log.txt')}; run again to resume from its last checkpoint`);
  expect(lives()).toBe(4);
  expect(readStatus(runDir, 'MT/1')).toMatchObject({
    state: 'failed',
    restarts: 3,
    last_error: failure.message,
  });
});

test('a new checkpoint resets the count and the pause', async () => {
  const script = Array.from({ length: 9 }, (_, i): Life => ({ save: Math.floor(i / 3) + 1, die: 'SIGKILL' }));
  await run([...script, {}]);
  expect(lives()).toBe(10);
  expect(notes.map((note) => note.match(/in ([\d.]+) s/)?.[1])).toEqual(
    Array.from({ length: 3 }, () => ['0.0050', '0.010', '0.020']).flat(),
  );
});

test('a phase that reports an error is not restarted', async () => {
  const report = { type: 'failed', kind: 'input', message: '3.png cannot be read', hint: 'fetch it again' };
  const failure = await run([{ send: report }]).catch((error) => error);
  expect(failure).toBeInstanceOf(InputError);
  expect(failure).toMatchObject({ message: '3.png cannot be read', hint: 'fetch it again' });
  expect(lives()).toBe(1);
  expect(readStatus(runDir, 'MT/1')).toMatchObject({ state: 'failed', last_error: '3.png cannot be read' });
});

test('a phase that lost its GPU is restarted, as after a crash', async () => {
  const message = 'aten::mm(F32[2, 3], F32[3, 2]): CUDA error: an illegal memory access was encountered';
  const report = { type: 'failed', kind: 'crash', message };
  await run([{ save: 5, send: report }, {}]);
  expect(lives()).toBe(2);
  expect(notes).toEqual([
    `MT/1 failed on the GPU: ${message}; resuming from its last checkpoint in 0.0050 s (restart 1)`,
  ]);
  expect(readStatus(runDir, 'MT/1')).toMatchObject({ state: 'done', restarts: 1 });
  rmSync(at('started'));
  const failure = await run(Array.from({ length: 4 }, () => ({ send: report }))).catch((error) => error);
  expect(failure).toBeInstanceOf(RunError);
  expect(failure.message).toBe(
    `MT/1 failed on the GPU: ${message}; 4 times in a row without a new checkpoint`,
  );
});

test('a process that exits with 0 and no result has failed', async () => {
  const failure = run(Array.from({ length: 4 }, () => ({ die: 0 })));
  await expect(failure).rejects.toThrow('MT/1 ended without a result: bad luck; 4 times in a row');
});

test('a phase that hangs is killed and restarted', needs(proc), async () => {
  await run([{ die: 'hang' }, { die: 'SIGSTOP' }, {}], { timing: { lookMs: 50, idleMs: 800 } });
  expect(notes[0]).toMatch(/^MT\/1 was killed: it was idle for 0\.\d+ s; resuming/);
  expect(notes[1]).toMatch(/^MT\/1 was killed: it was stopped for/);
});

test('stopped in the pause before a restart, it ends at once and can be resumed', async () => {
  const ending = run([{ die: 1 }, {}], { timing: { backoffMs: 1_000_000 }, onNote: (stop) => stop() });
  await expect(ending).rejects.toThrow(Interrupted);
  expect(lives()).toBe(1);
  expect(readStatus(runDir, 'MT/1')).toMatchObject({
    state: 'stopped',
    last_error: 'ended with exit code 1: bad luck',
  });
});

test('a clock that jumps changes no pause', async () => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() });
  await run([{ die: 1 }, { die: 1 }, {}], { onNote: () => vi.setSystemTime(Date.now() - 86_400_000) });
  expect(lives()).toBe(3);
});

test('leftovers of a killed writer are removed before the next start, but not while a process is running', async () => {
  const left = [at('MT/1/.tmp-log-1'), at('MT/1/checkpoints/.tmp-20-1/model.safetensors')];
  const leave = () => {
    mkdirSync(at('MT/1/checkpoints/.tmp-20-1'), { recursive: true });
    for (const path of left) writeFileSync(path, '');
  };
  leave();
  const lock = await lockFolder(at('MT/1'));
  await run([{ die: 'SIGKILL', save: 5 }, {}], {
    onNote: () => {
      expect(left.map((path) => existsSync(path))).toEqual([true, true]);
      lock.release();
    },
  });
  expect(readdirSync(at('MT/1/checkpoints'))).toEqual(['5']);
  expect(readdirSync(at('MT/1')).sort()).toEqual(['checkpoints', 'log.txt', 'result.json', 'status.json']);
});

test('a deleted run folder is not recreated', async () => {
  const ending = run([{ die: 1 }, {}], { onNote: () => rmSync(runDir, { recursive: true }) });
  await expect(ending).rejects.toThrow(`Cannot write ${at('MT/1')}: it no longer exists.`);
  expect(existsSync(runDir)).toBe(false);
});
