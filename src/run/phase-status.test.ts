import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { syntheticResult } from '../../test/synthetic-run.js';
import { lockFolder } from '../files/folder-lock.js';
import { readStatus, writeStatus } from './phase-status.js';
import { writeResult } from './run-folder.js';

let runDir: string;
beforeEach(() => {
  runDir = mkdtempSync(join(tmpdir(), 'status-'));
});
afterEach(() => rmSync(runDir, { recursive: true, force: true }));

const RUNNING = { state: 'running', pid: 7, restarts: 2, last_error: 'died of SIGKILL' } as const;
const begin = () => mkdirSync(join(runDir, 'PT'));

test('nothing written: waiting; and nothing is written without a folder', () => {
  writeStatus(runDir, 'PT', RUNNING);
  expect(readdirSync(runDir)).toEqual([]);
  expect(readStatus(runDir, 'PT')).toEqual({
    state: 'waiting',
    pid: null,
    host: hostname(),
    restarts: 0,
    last_error: null,
    since: null,
  });
});

test('the written status is read while a process holds the run', async () => {
  begin();
  const lock = await lockFolder(runDir);
  writeStatus(runDir, 'PT', RUNNING);
  expect(readStatus(runDir, 'PT')).toMatchObject({ ...RUNNING, host: hostname() });
  lock.release();
  expect(readStatus(runDir, 'PT')).toMatchObject({ ...RUNNING, state: 'lost', pid: null });
});

test('lost with its supervisor: reported as lost', () => {
  begin();
  writeStatus(runDir, 'PT', { ...RUNNING, last_error: null });
  expect(readStatus(runDir, 'PT').last_error).toBe('its supervising process disappeared');
});

test.each(['failed', 'stopped', 'waiting'] as const)('%s stays so without a supervisor', (state) => {
  begin();
  writeStatus(runDir, 'PT', { ...RUNNING, pid: null, state });
  expect(readStatus(runDir, 'PT').state).toBe(state);
});

test('a phase with a result is done, whatever the file says', () => {
  begin();
  writeStatus(runDir, 'PT', RUNNING);
  writeResult(runDir, syntheticResult({ phase: 'PT', epochs: 1, top1: [0, 50], passes: 12 }));
  expect(readStatus(runDir, 'PT')).toMatchObject({ state: 'done', pid: null });
});

test.each(['{"state": "run', '{}', '{"state":"asleep"}'])('%s is ignored', (text) => {
  begin();
  writeFileSync(join(runDir, 'PT/status.json'), text);
  expect(readStatus(runDir, 'PT').state).toBe('waiting');
});

test('a failed write is ignored', () => {
  begin();
  mkdirSync(join(runDir, 'PT/status.json/in-the-way'), { recursive: true });
  expect(() => writeStatus(runDir, 'PT', RUNNING)).not.toThrow();
});
