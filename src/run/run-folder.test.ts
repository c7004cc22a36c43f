import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { FULL_RUN, syntheticResult } from '../../test/synthetic-run.js';
import { phasesIn, readResult, runFolder, writeResult } from './run-folder.js';

const newRun = () => mkdtempSync(join(tmpdir(), 'run-'));

test('files have the documented paths', () => {
  const folder = runFolder('run');
  expect([folder.recipe, folder.plan, folder.summary]).toEqual(
    ['recipe', 'plan', 'summary'].map((name) => join('run', `${name}.json`)),
  );
  expect(folder.phase('MT/3')).toEqual({
    root: join('run', 'MT', '3'),
    confusion: join('run', 'MT', '3', 'confusion.json'),
    samples: join('run', 'MT', '3', 'samples'),
    metrics: join('run', 'MT', '3', 'metrics.jsonl'),
    log: join('run', 'MT', '3', 'log.txt'),
    result: join('run', 'MT', '3', 'result.json'),
    events: join('run', 'tensorboard', 'MT', '3'),
  });
});

test('phases are found in training order, modules by number', () => {
  const root = newRun();
  expect(phasesIn(root)).toEqual([]);
  expect(phasesIn(join(root, 'nowhere'))).toEqual([]);
  for (const phase of ['E2E', 'FT', 'MT/10', 'MT/9', 'PT', 'report', 'MT/notes']) {
    mkdirSync(join(root, phase), { recursive: true });
  }
  expect(phasesIn(root)).toEqual(['PT', 'MT/9', 'MT/10', 'FT', 'E2E']);
});

test('a result is written and read; a damaged one is refused by name', () => {
  const root = newRun();
  const result = syntheticResult(FULL_RUN[2]);
  expect(readResult(root, result.phase)).toBeUndefined();
  writeResult(root, result);
  expect(readResult(root, result.phase)).toEqual(result);
  const path = join(root, 'MT', '1', 'result.json');
  writeFileSync(path, JSON.stringify({ ...result, top1: null }));
  expect(() => readResult(root, result.phase)).toThrow(`${path}: "top1"`);
  writeFileSync(path, '{"phase":');
  expect(() => readResult(root, result.phase)).toThrow(path);
});
