import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readStatus, writeStatus } from '../run/phase-status.js';
import { ownRecord } from './own-record.js';

let run: string;
beforeEach(() => {
  run = mkdtempSync(join(tmpdir(), 'own-record-'));
  mkdirSync(join(run, 'PT'));
});
afterEach(() => rmSync(run, { recursive: true }));

test('a phase that another process trains keeps its record, even if both have the same PID, as in containers', () => {
  writeStatus(run, 'PT', { state: 'running', pid: process.pid, restarts: 2, last_error: null });
  writeFileSync(join(run, 'PT/.lock'), JSON.stringify({ pid: process.pid, host: 'elsewhere', started: '1' }));
  ownRecord(run, 'PT', {}).failed(new Error('PT is in use'));
  expect(readStatus(run, 'PT')).toMatchObject({
    state: 'running',
    host: 'elsewhere',
    restarts: 2,
    last_error: null,
  });

  rmSync(join(run, 'PT/.lock'));
  ownRecord(run, 'PT', {}).failed(new Error('the loss is NaN'));
  expect(readStatus(run, 'PT')).toMatchObject({ state: 'failed', last_error: 'the loss is NaN' });
});
