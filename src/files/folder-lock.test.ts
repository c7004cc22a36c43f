import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  cpSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { transpileInto } from '../../test/transpiled.js';
import { InputError } from '../base/errors.js';
import { liveHolder, lockFolder } from './folder-lock.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('one holder at a time, and nothing is left', async () => {
  const lock = await lockFolder(folder);
  const second = lockFolder(folder);
  await expect(second).rejects.toThrow(InputError);
  await expect(second).rejects.toThrow(`process ${process.pid} on ${hostname()}`);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
  (await lockFolder(folder)).release();
});

test('a killed process holds no lock', async () => {
  const child = spawn('sleep', ['100']);
  await once(child, 'spawn');
  const { pid } = child as { pid: number };
  const started = readFileSync(`/proc/${pid}/stat`, 'utf8').split(' ')[21];
  writeFileSync(join(folder, '.lock'), JSON.stringify({ pid, host: hostname(), started }));
  await expect(lockFolder(folder)).rejects.toThrow(`process ${pid}`);
  child.kill('SIGKILL');
  await once(child, 'exit');
  (await lockFolder(folder)).release();
});

test('a later process with the same PID is another process', async () => {
  writeFileSync(
    join(folder, '.lock'),
    JSON.stringify({ pid: process.pid, host: hostname(), started: 'then' }),
  );
  (await lockFolder(folder)).release();
});

describe('a holder on another machine', () => {
  const TIMING = { beatMs: 40, staleMs: 10_000, confirmMs: 200 };
  const touch = (ageMs: number) => {
    const then = new Date(Date.now() - ageMs);
    utimesSync(join(folder, '.lock'), then, then);
  };
  beforeEach(() => {
    writeFileSync(join(folder, '.lock'), JSON.stringify({ pid: 1, host: 'elsewhere', started: '1' }));
  });

  test('is alive if it touched its lock recently', async () => {
    await expect(lockFolder(folder, 0, TIMING)).rejects.toThrow('process 1 on elsewhere');
    expect(liveHolder(folder)?.host).toBe('elsewhere');
  });

  test('is alive if its clock is slightly ahead, as within a cluster', () => {
    for (const age of [-0.5, -2000, -30_000]) {
      touch(age);
      expect(liveHolder(folder)?.host).toBe('elsewhere');
    }
  });

  test.each([3_600_000, -3_600_000])('is dead if its lock is %i ms old and not touched', async (age) => {
    touch(age);
    expect(liveHolder(folder)).toBeUndefined();
    (await lockFolder(folder, 0, TIMING)).release();
  });

  test.each([3_600_000, -3_600_000])(
    'is alive if it touches its lock, with its clock off by %i ms',
    async (age) => {
      touch(age);
      let beats = 0;
      const beat = setInterval(() => touch(age - ++beats), 40);
      // On a busy machine a heartbeat may be late.
      await expect(lockFolder(folder, 0, { ...TIMING, confirmMs: 10_000 }))
        .rejects.toThrow('process 1 on elsewhere')
        .finally(() => {
          clearInterval(beat);
        });
    },
  );

  test('dies during the wait', async () => {
    (await lockFolder(folder, 60_000, TIMING)).release();
  });
});

describe('the heartbeat of a holder', () => {
  const TIMING = { beatMs: 20, staleMs: 10_000, confirmMs: 200 };
  const touched = () => statSync(join(folder, '.lock')).mtimeMs;

  test('continues while the main thread is blocked', async () => {
    const lock = await lockFolder(folder, 0, TIMING);
    const then = new Date(0);
    utimesSync(join(folder, '.lock'), then, then);
    while (touched() === 0) await sleep(10);
    const before = touched();
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500);
    expect(touched()).toBeGreaterThan(before);
    lock.release();
  });

  test('ends with the holder', async () => {
    (await lockFolder(folder, 0, TIMING)).release();
    const path = join(folder, '.lock');
    writeFileSync(path, 'of another');
    utimesSync(path, new Date(0), new Date(0));
    await sleep(200);
    expect(touched()).toBe(0);
  });

  test('ends a process whose lock was taken over', async () => {
    const path = join(folder, '.lock');
    writeFileSync(path, '{"pid":1}');
    const beat = transpileInto(folder, new URL('folder-lock-beat.ts', import.meta.url));
    const work = `import { startBeat } from ${JSON.stringify(beat)}; startBeat(${JSON.stringify(path)}, 20); console.log('held'); setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', work]);
    let stderr = '';
    child.stderr.on('data', (chunk) => {
      stderr += chunk;
    });
    await once(child.stdout, 'data');
    await sleep(200);
    expect(child.signalCode).toBeNull();
    writeFileSync(join(folder, 'theirs'), '{"pid":2}');
    renameSync(join(folder, 'theirs'), path);
    const [, signal] = await once(child, 'close');
    expect(signal).toBe('SIGKILL');
    expect(stderr).toContain(`${path} was taken over by another process: {"pid":2}`);
  });
});

test('a truncated lock file is not a lock', async () => {
  writeFileSync(join(folder, '.lock'), '{"pid": 1');
  (await lockFolder(folder)).release();
});

test('patience: the lock is acquired when the holder ends', async () => {
  const lock = await lockFolder(folder);
  setTimeout(() => lock.release(), 120);
  (await lockFolder(folder, 5000)).release();
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});

describe('a folder that is copied or moved while it is held', () => {
  const at = (name: string) => join(folder, name);

  test.each([
    [
      'a copy is not locked, the folder itself is',
      (run: string, copy: string) => cpSync(run, copy, { recursive: true }),
    ],
    [
      'nor is a copy of hard links',
      (run: string, copy: string) => {
        mkdirSync(copy);
        linkSync(join(run, '.lock'), join(copy, '.lock'));
      },
    ],
  ])('%s', async (_, copied) => {
    mkdirSync(at('run'));
    const lock = await lockFolder(at('run'));
    copied(at('run'), at('copy'));
    expect(liveHolder(at('copy'))).toBeUndefined();
    (await lockFolder(at('copy'))).release();
    expect(liveHolder(at('run'))?.pid).toBe(process.pid);
    lock.release();
    expect(readdirSync(at('run'))).toEqual([]);
  });

  test('it is still locked under another path, and after a move', async () => {
    mkdirSync(at('run'));
    const lock = await lockFolder(at('run'));
    symlinkSync('run', at('link'));
    expect(liveHolder(at('link'))?.pid).toBe(process.pid);
    renameSync(at('run'), at('moved'));
    expect(liveHolder(at('moved'))?.pid).toBe(process.pid);
    lock.release();
  });
});

describe('a process with the same PID on another machine, as in containers', () => {
  const theirs = JSON.stringify({ pid: process.pid, host: 'elsewhere', started: '1' });

  test('keeps the lock that it took over', async () => {
    const lock = await lockFolder(folder);
    writeFileSync(join(folder, 'theirs'), theirs);
    renameSync(join(folder, 'theirs'), join(folder, '.lock'));
    lock.release();
    expect(liveHolder(folder)?.host).toBe('elsewhere');
  });

  test('keeps the lock that it is acquiring', async () => {
    writeFileSync(join(folder, '.lock'), theirs);
    linkSync(join(folder, '.lock'), join(folder, `.lock.${process.pid}`));
    await expect(lockFolder(folder)).rejects.toThrow(`process ${process.pid} on elsewhere`);
    expect(readFileSync(join(folder, '.lock'), 'utf8')).toBe(theirs);
  });
});
