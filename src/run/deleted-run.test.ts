import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { writeConfusion } from './confusion.js';
import { writeStatus } from './phase-status.js';
import { runFolder } from './run-folder.js';
import { writeSamples } from './samples.js';

let run: string;
beforeEach(() => {
  run = join(mkdtempSync(join(tmpdir(), 'deleted-')), 'run');
  mkdirSync(join(run, 'PT'), { recursive: true });
});

const phase = () => runFolder(run).phase('PT');
const samples = { step: 3, width: 1, height: 1, images: [] };
const WRITERS: readonly (readonly [string, () => void])[] = [
  ['confusion.json', () => writeConfusion(phase().confusion, { step: 3, classes: 2, counts: [] })],
  ['samples', () => writeSamples(phase().samples, 'eval', samples, new Uint8Array(1))],
];

test.each(WRITERS)('%s does not bring a deleted run back', (name, write) => {
  write();
  expect(readdirSync(join(run, 'PT'))).toEqual([name]);
  rmSync(run, { recursive: true });
  expect(write).toThrow('it no longer exists');
  expect(existsSync(run)).toBe(false);
});

test('neither does the status of a phase', () => {
  rmSync(run, { recursive: true });
  writeStatus(run, 'PT', { state: 'failed', pid: null, restarts: 0, last_error: null });
  expect(existsSync(run)).toBe(false);
});
