import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { lockFolder } from './folder-lock.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('one at a time, and nothing is left', async () => {
  const lock = await lockFolder(folder);
  const second = lockFolder(folder);
  await expect(second).rejects.toThrow(InputError);
  await expect(second).rejects.toThrow(`process ${process.pid} on ${hostname()}`);
  lock.release();
  expect(readdirSync(folder)).toEqual([]);
  (await lockFolder(folder)).release();
});

test('a killed process holds nothing', async () => {
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

test('a later process of the same number is another', async () => {
  writeFileSync(
    join(folder, '.lock'),
    JSON.stringify({ pid: process.pid, host: hostname(), started: 'then' }),
  );
  (await lockFolder(folder)).release();
});

test('on another machine, the age of the lock tells', async () => {
  const path = join(folder, '.lock');
  writeFileSync(path, JSON.stringify({ pid: 1, host: 'elsewhere', started: '1' }));
  await expect(lockFolder(folder)).rejects.toThrow('on elsewhere');
  const before = new Date(Date.now() - 3_600_000);
  utimesSync(path, before, before);
  (await lockFolder(folder)).release();
});

test('half a lock file is no lock', async () => {
  writeFileSync(join(folder, '.lock'), '{"pid": 1');
  (await lockFolder(folder)).release();
});

test('patience: it is taken when the holder ends', async () => {
  const lock = await lockFolder(folder);
  setTimeout(() => lock.release(), 120);
  (await lockFolder(folder, 5000)).release();
  expect(existsSync(join(folder, '.lock'))).toBe(false);
});
