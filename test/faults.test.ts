import { spawnSync } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { killRepeatedly } from '../bench/kill/kill-repeatedly.js';
import { phasesUnder } from '../bench/kill/processes.js';
import { differences, traceOf } from '../bench/kill/trace.js';
import { randomStream } from '../src/base/random.js';
import { readStatus } from '../src/run/phase-status.js';
import {
  cli,
  jsonLines,
  type Started,
  start,
  temporaryFolder,
  tinyRecipe,
  until,
  writeImages,
} from './cli-support.js';
import { needs } from './needs.js';

const folder = temporaryFolder();
const at = (...names: string[]) => join(folder, ...names);
const recipe = at('recipe.json');
/** A run without faults. */
const whole = at('whole');
const ORDINARY = ['--set', 'training.checkpoint_every=0.1'];

beforeAll(async () => {
  await writeImages(at('images'), { train: 16, val: 5 });
  writeFileSync(recipe, JSON.stringify(tinyRecipe(at('images'))));
  expect(await cli(command(whole, []))).toMatchObject({ code: 0 });
});

const command = (run: string, only = ['--only', 'PT']) => ['run', recipe, '--out', run, ...ORDINARY, ...only];

/** A running PT, some steps after its first checkpoint. */
async function startedRun(run: string, options: Parameters<typeof start>[1] = {}): Promise<Started> {
  const started = start(command(run), options);
  await until(() => lastStep(run) >= 30, 'step 30');
  return started;
}

const lastStep = (run: string) => Number(jsonLines(join(run, 'PT/metrics.jsonl')).at(-1)?.step ?? 0);

/** Resumed, the run ends with the result of a run without faults. */
async function expectRecovery(run: string, only = ['--only', 'PT']): Promise<void> {
  const { code, stderr } = await cli(command(run, only));
  expect(stderr).not.toMatch(/^error/m);
  expect(code).toBe(0);
  const names = [...traceOf(run).keys()].filter((name) => only.length === 0 || name.startsWith('PT'));
  expect(names.length).toBeGreaterThan(5);
  expect(differences(traceOf(run), traceOf(whole)).filter((name) => names.includes(name))).toEqual([]);
  const left = readdirSync(run, { recursive: true }).filter((name) =>
    /(^|\/)\.(tmp-|lock)/.test(String(name)),
  );
  expect(left).toEqual([]);
}

const isAlive = (pid: number) =>
  existsSync(`/proc/${pid}/stat`) && !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));

test('six kills at random times over all phases change nothing', async () => {
  const run = at('killed');
  const kills = await killRepeatedly({
    runDir: run,
    start: () => start(command(run, [])),
    kills: 6,
    killsPerPhase: 2,
    random: randomStream(['faults', 1]),
    longestMs: 4000,
  });
  expect(kills).toHaveLength(6);
  await expectRecovery(run, []);
});

test('a process that dies is restarted; the reason is printed, logged and recorded', async () => {
  const run = at('died');
  const { process: supervisor, ended } = await startedRun(run);
  const [{ pid }] = phasesUnder(supervisor.pid as number);
  expect(readStatus(run, 'PT')).toMatchObject({ state: 'running', pid, restarts: 0, last_error: null });
  process.kill(pid, 'SIGSEGV');
  await until(() => readStatus(run, 'PT').state === 'restarting', 'a restart');
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  const message =
    /PT died of SIGSEGV \(a crash in native code\); resuming from its last checkpoint in 1.0 s \(restart 1\)/;
  expect(stderr).toMatch(message);
  expect(readFileSync(join(run, 'PT/log.txt'), 'utf8')).toMatch(message);
  expect(readStatus(run, 'PT')).toMatchObject({ state: 'done', pid: null, restarts: 1 });
  await expectRecovery(run);
});

test('a damaged newest checkpoint: the previous one is used, with a log message', async () => {
  const run = at('damaged');
  const stopped = await startedRun(run);
  stopped.process.kill('SIGTERM');
  expect((await stopped.ended).code).toBe(143);
  const checkpoints = join(run, 'PT/checkpoints');
  const newest = Number(readFileSync(join(checkpoints, 'latest'), 'utf8'));
  const damaged = join(checkpoints, String(newest + 1));
  cpSync(join(checkpoints, String(newest)), damaged, { recursive: true });
  truncateSync(join(damaged, 'optimizer.safetensors'), 100);
  const manifest = readFileSync(join(damaged, 'manifest.json'), 'utf8');
  writeFileSync(join(damaged, 'manifest.json'), manifest.replace(/"step": \d+/, `"step": ${newest + 1}`));
  writeFileSync(join(checkpoints, 'latest'), '');
  await expectRecovery(run);
  const log = readFileSync(join(run, 'PT/log.txt'), 'utf8');
  expect(log).toContain(`ignored checkpoint ${damaged}: optimizer.safetensors has 100 bytes`);
  expect(log).toContain(`resumes from step ${newest}`);
});

describe('signals', () => {
  test('SIGTERM: a checkpoint, and an exit within ten seconds', async () => {
    const run = at('terminated');
    const { process: supervisor, ended } = await startedRun(run);
    const [{ pid }] = phasesUnder(supervisor.pid as number);
    const asked = performance.now();
    supervisor.kill('SIGTERM');
    const { code, stderr } = await ended;
    expect(performance.now() - asked).toBeLessThan(10_000);
    expect(code).toBe(143);
    expect(stderr).toMatch(
      /error: PT was interrupted at step \d+ of 240\n {2}hint: the same command resumes it/,
    );
    expect(isAlive(pid)).toBe(false);
    const step = stderr.match(/step (\d+) of/)?.[1];
    expect(readFileSync(join(run, 'PT/checkpoints/latest'), 'utf8').trim()).toBe(step);
    expect(readStatus(run, 'PT').state).toBe('stopped');
    await expectRecovery(run);
  });

  test('a second SIGINT: an immediate exit, no process left, nothing corrupted', async () => {
    const run = at('interrupted');
    const { process: supervisor, ended } = await startedRun(run);
    const [{ pid }] = phasesUnder(supervisor.pid as number);
    // So that it cannot exit before the second signal.
    process.kill(pid, 'SIGSTOP');
    await until(() => /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')), 'the stop');
    let output = '';
    supervisor.stderr?.on('data', (chunk) => {
      output += chunk;
    });
    supervisor.kill('SIGINT');
    await until(() => output.includes('stopping'), 'the first signal to be handled');
    // A signal that arrives earlier counts as the forwarded first one.
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(supervisor.exitCode).toBeNull();
    supervisor.kill('SIGINT');
    const { code, stderr } = await ended;
    expect(code).toBe(130);
    // At once, without waiting for the phase.
    expect(stderr).not.toContain('did not exit');
    await until(() => !isAlive(pid), 'the end of the phase');
    await expectRecovery(run);
  });

  test('the supervisor is killed: its phase ends, and is reported as lost', async () => {
    const run = at('orphaned');
    const { process: supervisor, ended } = await startedRun(run);
    const [{ pid }] = phasesUnder(supervisor.pid as number);
    supervisor.kill('SIGKILL');
    await ended;
    await until(() => !isAlive(pid), 'the end of the orphan');
    expect(readStatus(run, 'PT')).toMatchObject({ state: 'lost', pid: null });
    await expectRecovery(run);
  });
});

test('two runs in one folder: the second is refused and changes nothing', async () => {
  const run = at('shared');
  const first = await startedRun(run);
  const before = statSync(join(run, 'recipe.json')).mtimeMs;
  const second = await cli([...command(run), '--set', 'run.parallel=2']);
  expect(second.stderr).toBe(
    `error: ${run} is in use by process ${first.process.pid} on ${(await import('node:os')).hostname()}\n` +
      '  hint: wait for it, stop it, or choose another --out\n',
  );
  expect(second.code).toBe(2);
  expect(statSync(join(run, 'recipe.json')).mtimeMs).toBe(before);
  expect((await first.ended).code).toBe(0);
  await expectRecovery(run);
});

test('the run folder is deleted during a run: a clear error, and it is not recreated', async () => {
  const run = at('deleted');
  const { ended } = await startedRun(run);
  // Renamed first, because deletion takes time and the run continues to write.
  renameSync(run, at('trash'));
  rmSync(at('trash'), { recursive: true });
  const { code, stderr } = await ended;
  expect(stderr).toMatch(
    /error: (PT: )?Cannot write .*\/deleted\/.*: it no longer exists\.\n {2}hint: The folder may have been deleted/,
  );
  expect(code).toBe(1);
  expect(existsSync(run)).toBe(false);
});

test('the images disappear during a run: a clear error; once they are back it resumes', async () => {
  const run = at('no-images');
  const { ended } = await startedRun(run);
  renameSync(at('images'), at('elsewhere'));
  const { code, stderr } = await ended.finally(() => renameSync(at('elsewhere'), at('images')));
  expect(stderr).toMatch(new RegExp(`^error: .*${at('images')}`, 'm'));
  expect(code).toBe(2);
  await expectRecovery(run);
});

test('a clock that jumps by days changes nothing, including the pause before a restart', async () => {
  const run = at('jumping');
  const jump = at('jump.mjs');
  writeFileSync(
    jump,
    `const now = Date.now;
     let calls = 0;
     Date.now = () => now() + (calls++ % 2 === 0 ? 1 : -1) * 86_400_000 * (calls % 5);
     const Before = Date;
     globalThis.Date = class extends Before { constructor(...args) { super(...(args.length ? args : [Before.now()])); } };`,
  );
  const env = { NODE_OPTIONS: `--import=${pathToFileURL(jump).href}` };
  const { process: supervisor, ended } = await startedRun(run, { env });
  process.kill(phasesUnder(supervisor.pid as number)[0].pid, 'SIGKILL');
  const { code, stderr } = await ended;
  expect(stderr).toMatch(/PT died of SIGKILL.*in 1\.0 s/);
  expect(code).toBe(0);
  await expectRecovery(run);
});

/** A disk of 1 MB in memory; needs root. */
function mountSmall(path: string): boolean {
  mkdirSync(path, { recursive: true });
  return mount('-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', path);
}

const mount = (...args: string[]) => spawnSync('mount', args).status === 0;
const unmount = (path: string) => spawnSync('umount', [path]).status === 0;
const canMount = mountSmall(at('probe')) && unmount(at('probe'));

const noMount = canMount ? undefined : 'mounting a file system needs root and is not allowed everywhere';

describe('a separate disk', needs({ missing: noMount, optional: true }), () => {
  async function onDisk(name: string, work: (disk: string, run: string) => Promise<void>): Promise<void> {
    const disk = at(name);
    expect(mountSmall(disk)).toBe(true);
    try {
      await work(disk, join(disk, 'run'));
    } finally {
      expect(unmount(disk)).toBe(true);
    }
  }

  test('full during a run: a clear error, nothing lost; with free space it resumes', async () => {
    await onDisk('full', async (disk, run) => {
      const { ended } = await startedRun(run);
      const ballast = join(disk, 'ballast');
      expect(() => writeFileSync(ballast, new Uint8Array(2 ** 20))).toThrow('ENOSPC');
      const { code, stderr } = await ended;
      expect(stderr).toMatch(
        /error: (PT: )?The disk is full: .* could not be written\.\n {2}hint: Data written before/,
      );
      expect(code).toBe(1);
      rmSync(ballast);
      await expectRecovery(run);
    });
  });

  test('read-only: refused at the start, and a clear error during a run', async () => {
    await onDisk('read-only', async (disk, run) => {
      expect(mount('-o', 'remount,ro', disk)).toBe(true);
      const refused = await cli(command(run));
      expect(refused.stderr).toMatch(/^error: Cannot write .*EROFS.*\n {2}hint: Choose another folder/);
      expect(refused.code).toBe(2);

      expect(mount('-o', 'remount,rw', disk)).toBe(true);
      const { ended } = await startedRun(run);
      // Fails while a file is open for writing.
      await until(() => mount('-o', 'remount,ro', disk), 'a moment between two writes');
      const { code, stderr } = await ended;
      expect(stderr).toMatch(/^error: (PT: )?Cannot write .*EROFS.*\n {2}hint: The disk became read-only/m);
      expect(code).toBe(1);
      expect(mount('-o', 'remount,rw', disk)).toBe(true);
      await expectRecovery(run);
    });
  });
});
