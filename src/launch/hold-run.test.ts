import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { removeRunLeftovers } from './hold-run.js';

test('leftovers of killed writers are removed, also in finished phases, but not in a running one', () => {
  const run = mkdtempSync(join(tmpdir(), 'leftovers-'));
  const write = (path: string, text = '') => {
    mkdirSync(dirname(join(run, path)), { recursive: true });
    writeFileSync(join(run, path), text);
  };
  const kept = [
    'recipe.json',
    'PT/result.json',
    'PT/samples/train.json',
    'MT/0/.tmp-status.json-1',
    'MT/0/.lock',
  ];
  for (const path of kept) write(path);
  write('MT/0/.lock', JSON.stringify({ pid: 1, host: 'elsewhere', started: '1' }));
  for (const folder of ['.', 'report', 'slurm', 'PT', 'PT/checkpoints', 'PT/samples'])
    write(`${folder}/.tmp-x-1`);
  write('PT/checkpoints/.tmp-12-1/model.safetensors');

  removeRunLeftovers(run);
  const left = readdirSync(run, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  expect(left.map(({ parentPath, name }) => join(parentPath, name)).sort()).toEqual(
    kept.map((path) => join(run, path)).sort(),
  );
  rmSync(run, { recursive: true });
});
