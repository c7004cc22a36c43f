import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, test } from 'vitest';
import { writeDashboardRun } from '../../test/dashboard-run.js';
import { InputError } from '../base/errors.js';
import { readResult } from '../run/run-folder.js';
import { readRun } from './run-data.js';
import { readRunStatus } from './run-status.js';

let run: string;
beforeEach(() => {
  run = join(mkdtempSync(join(tmpdir(), 'records-')));
  writeDashboardRun(run, 'failed');
});

const result = { steps: 1, images: 1, block_passes: 1, macs: 1, seconds: 1, top1: 1, top5: 1, loss: 1 };
const numbers = { ...result, parameters: 1, trained_parameters: 1, memory_bytes: 1 };

test.each([
  ['without a phase', numbers, '"phase" is missing'],
  ['with a number for it', { ...numbers, phase: 3 }, '"phase" is missing'],
  ['of another phase', { ...numbers, phase: 'FT' }, 'belongs to "FT", not to PT'],
  ['that is a list', [numbers], 'does not contain a JSON object'],
  ['that is null', null, 'does not contain a JSON object'],
])('a result %s is refused by name, by all that read it', (_, value, message) => {
  const path = join(run, 'PT/result.json');
  writeFileSync(path, JSON.stringify(value));
  for (const read of [() => readResult(run, 'PT'), () => readRun(run), () => readRunStatus(run)]) {
    expect(read).toThrow(InputError);
    expect(read).toThrow(path);
    expect(read).toThrow(message);
  }
});

test.each([
  ['plan.json', []],
  ['plan.json', { phases: [null] }],
  ['plan.json', { phases: [{ phase: '../../elsewhere' }] }],
  ['recipe.json', null],
  ['recipe.json', 'tiny'],
])('%s that holds %j', (name, value) => {
  writeFileSync(join(run, name), JSON.stringify(value));
  expect(() => readRunStatus(run)).toThrow(InputError);
  expect(() => readRunStatus(run)).toThrow(join(run, name));
});

test.each([{ name: 3 }, { machine: [] }, null, [1]])('summary.json that holds %j', (value) => {
  writeFileSync(join(run, 'summary.json'), JSON.stringify(value));
  expect(() => readRun(run)).toThrow(InputError);
  expect(() => readRun(run)).toThrow(join(run, 'summary.json'));
});

test('the records of a run are read', () => {
  expect(JSON.parse(readFileSync(join(run, 'recipe.json'), 'utf8'))).toBeTypeOf('object');
  expect(readRun(run).phases.length).toBeGreaterThan(0);
  expect(readRunStatus(run).phases.length).toBeGreaterThan(0);
});
