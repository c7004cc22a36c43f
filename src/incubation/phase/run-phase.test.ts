import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeImages } from '../../../test/cli-support.js';
import { latestCheckpoint } from '../../checkpoint/checkpoint-store.js';
import { Interrupted } from '../launch/interrupted.js';
import { prepareRun } from '../launch/prepare.js';
import { defineRecipe } from '../recipe/recipe.js';
import { runPhase } from './run-phase.js';

const folder = mkdtempSync(join(tmpdir(), 'run-phase-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeImages(join(folder, 'images'), { train: 16, val: 4 }));

const recipe = () =>
  defineRecipe({
    name: 'tiny',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: { format: 'folder', path: join(folder, 'images') },
    training: { epochs: 3, batch_size: 8, log_every: 1, checkpoint_every: 0.001, ema: 0.9 },
    run: { device: 'cpu' },
  });

async function train(name: string, threadBytes: number, stopAt?: number) {
  const runDir = join(folder, name);
  prepareRun(recipe(), runDir);
  const stop = new AbortController();
  let steps = 0;
  const onProgress = (doing: string) => {
    if (doing === 'training' && ++steps === stopAt) stop.abort();
  };
  const run = { recipe: recipe(), phase: 'PT', runDir, device: 'cpu', threadBytes, onProgress } as const;
  await runPhase({ ...run, signal: stop.signal });
  return runDir;
}

function traceOf(runDir: string) {
  const root = join(runDir, 'PT');
  const { checkpoint } = latestCheckpoint(root);
  const metrics = readFileSync(join(root, 'metrics.jsonl'), 'utf8').trim().split('\n');
  return {
    step: checkpoint?.step,
    files: checkpoint?.manifest.files,
    confusion: JSON.parse(readFileSync(join(root, 'confusion.json'), 'utf8')),
    metrics: metrics.map((line) => {
      const { kind, step, loss } = JSON.parse(line);
      return { kind, step, loss };
    }),
  };
}

test('checkpoints that a thread writes are those that are written at once; stopped, they are there', async () => {
  const apart = traceOf(await train('at-once', Number.POSITIVE_INFINITY));
  expect(apart.step).toBe(12);
  expect(apart.confusion).toMatchObject({ step: 12, classes: 2, names: ['bright', 'dark'] });
  expect(traceOf(await train('in-thread', 0))).toEqual(apart);

  await expect(train('stopped', 0, 4)).rejects.toThrow(Interrupted);
  expect(traceOf(join(folder, 'stopped')).step).toBeGreaterThanOrEqual(4);
  expect(traceOf(await train('stopped', 0))).toEqual(apart);
});

test('the phases of another recipe are not gone on with, nor their results given out', async () => {
  const runDir = await train('one-recipe', 0);
  const other = (change: object) =>
    runPhase({ recipe: { ...recipe(), ...change }, phase: 'PT', runDir, device: 'cpu' });
  await expect(other({ seed: 5 })).rejects.toThrow(
    /one-recipe.recipe.json was written by another recipe: seed/,
  );
  // How the machine is used may change.
  await expect(other({ run: { ...recipe().run, threads: 1 } })).resolves.toMatchObject({ steps: 12 });
});

test('a device that is none is refused before anything is written', async () => {
  const runDir = join(folder, 'no-device');
  const run = { recipe: recipe(), phase: 'PT', runDir } as const;
  await expect(runPhase({ ...run, device: 'gpu' })).rejects.toThrow('run.device gpu: expected auto, cpu');
  expect(existsSync(runDir)).toBe(false);
});
