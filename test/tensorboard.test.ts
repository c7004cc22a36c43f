import { execFileSync, type StdioOptions } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { openEventFile } from '../src/run/tensorboard/event-file.js';
import { histogram, histogramOf, scalarEvent, sessionStart } from '../src/run/tensorboard/events.js';
import { cli, jsonLines, temporaryFolder, tinyRecipe, writeImages } from './cli-support.js';
import { needs, python, pythonPath } from './needs.js';

const folder = temporaryFolder();

interface Read {
  readonly scalars: Record<string, [step: number, value: number][]>;
  readonly images: Record<string, number[][]>;
  readonly histograms: Record<string, [number, number, number[], number[]][]>;
  readonly hparams: Record<string, unknown>;
}

function tensorboardOf(events: string): Read {
  const args = ['test/fixtures/check-tensorboard.py', events];
  const stdio: StdioOptions = ['ignore', 'pipe', 'ignore'];
  return JSON.parse(execFileSync(pythonPath, args, { encoding: 'utf8', stdio }));
}

const losses = (name: string) =>
  jsonLines(join(folder, name, 'PT/metrics.jsonl')).map(({ kind, step, loss }) => [kind, step, loss]);

// One run with all of TensorBoard's data, and one without.
beforeAll(async () => {
  const images = join(folder, 'images');
  await writeImages(images, { train: 24, val: 4 });
  const recipe = join(folder, 'tiny.json');
  writeFileSync(
    recipe,
    JSON.stringify({ ...tinyRecipe(images), phases: { PT: { epochs: 4 }, E2E: 'none' } }),
  );
  const runs = { all: '{ images: true, histograms_every: 2 }', none: 'false' };
  for (const [name, settings] of Object.entries(runs)) {
    const options = ['--set', `run.tensorboard=${settings}`, '--out', join(folder, name), '--only', 'PT'];
    expect(await cli(['run', recipe, ...options])).toMatchObject({ code: 0 });
  }
});

test('a run with all of TensorBoard’s data trains like one without', () => {
  expect(losses('all').length).toBeGreaterThan(10);
  expect(losses('all')).toEqual(losses('none'));
  expect(existsSync(join(folder, 'none/tensorboard'))).toBe(false);
});

test('top-5 of two classes is left out', () => {
  const place = join(folder, 'all/tensorboard/PT');
  const text = readdirSync(place).map((name) => readFileSync(join(place, name), 'latin1'));
  expect(text.join()).toContain('eval/top1');
  expect(text.join()).not.toContain('eval/top5');
});

test('TensorBoard reads what the run wrote', needs(python), () => {
  const read = tensorboardOf(join(folder, 'all/tensorboard/PT'));
  const steps = losses('all').filter(([kind]) => kind === 'step');
  expect(read.scalars['train/loss']).toEqual(
    steps.map(([, step, loss]) => [step, Math.fround(Number(loss))]),
  );
  expect(read.scalars['eval/top1'].length).toBeGreaterThan(0);
  expect(read.images['train/images']).toEqual([[0, 64, 32]]);
  expect(read.histograms['weights/stages.0.cls_token'].map(([step]) => step)).toEqual([
    2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24,
  ]);
  expect(read.hparams).toMatchObject({
    name: 'tiny',
    phase: 'PT',
    'model.width': 16,
    'training.optimizer.lr': 0.001,
  });
});

test('TensorBoard reads each written step once', needs(python), () => {
  const events = join(folder, 'resumed');
  const hparams = new Map<string, string | number | boolean>([
    ['näme', 'ü'],
    ['lr', 1e-3],
    ['mixed', true],
  ]);
  const first = openEventFile(events, { fromStep: 0 });
  first.append(0, [sessionStart(hparams, 1)]);
  for (let step = 1; step <= 30; step++) first.append(step, [scalarEvent('train/loss', step)]);
  const second = openEventFile(events, { fromStep: 20 });
  for (let step = 25; step <= 40; step += 5) second.append(step, [scalarEvent('train/loss', -step)]);
  const spread = histogramOf(Float32Array.of(1, 1.5, 2, 3), 2);
  if (spread !== undefined) second.append(40, [histogram('weights/a', spread)]);

  const read = tensorboardOf(events);
  expect(read.scalars['train/loss']).toEqual([
    ...Array.from({ length: 20 }, (_, i) => [i + 1, i + 1]),
    ...[25, 30, 35, 40].map((step) => [step, -step]),
  ]);
  expect(read.histograms['weights/a'][0].slice(0, 2)).toEqual([40, 4]);
  expect(read.hparams).toEqual(Object.fromEntries(hparams));
});
