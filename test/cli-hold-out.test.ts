import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { beforeAll, describe, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, temporaryFolder } from './cli-support.js';
import { goldenPath } from './support.js';

const folder = temporaryFolder();
const data = join(folder, 'data');
const recipe = join(folder, 'recipe.json');
const SPLIT = ['--set', 'data.split={val: 0.25}', '--set', 'training.batch_size=4'];
const NOTE = /data\.split: 5 of 20 training images are held out for evaluation \(seed 0\)/;

beforeAll(async () => {
  await writeClasses(data, { blue: 2, red: 0 }, 10);
  writeFileSync(recipe, JSON.stringify(colourRecipe(data, 2)));
});

/** The names of a split's images that a run has recorded. */
const listed = (run: string, part: string) =>
  gunzipSync(readFileSync(join(folder, run, `data/${part}.txt.gz`)))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t')[2]);

const train = (run: string, ...settings: string[]) =>
  cli([
    'run',
    recipe,
    '--out',
    join(folder, run),
    '--quiet',
    ...SPLIT,
    ...['phases.E2E.epochs=1', ...settings].flatMap((setting) => ['--set', setting]),
  ]);

test('a folder of classes without parts: refused by plan and run, with data.split in the hint', async () => {
  for (const command of ['plan', 'run']) {
    const { code, stderr } = await cli([
      command,
      recipe,
      ...(command === 'run' ? ['--out', join(folder, 'x')] : []),
    ]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('`data.split: { val: 0.1 }`')]);
  }
});

test('plan prints what is held out, and plans with the other images', async () => {
  const { code, stdout, stderr } = await cli(['plan', recipe, '--json', ...SPLIT]);
  expect([code, stderr]).toEqual([0, expect.stringMatching(NOTE)]);
  expect(JSON.parse(stdout).train_images).toBe(15);
  const given = await cli(['plan', recipe, '--json', '--images', '20', ...SPLIT]);
  expect(JSON.parse(given.stdout).train_images).toBe(15);
});

describe('runs', () => {
  test('hold out the same images for every seed and fraction; data.json and a list record them', async () => {
    const first = await train('first');
    expect([first.code, first.stderr]).toEqual([0, expect.stringMatching(NOTE)]);
    const { val, train: rest } = JSON.parse(readFileSync(join(folder, 'first/data.json'), 'utf8'));
    expect([val.images, val.per_class, rest.images]).toEqual([5, expect.arrayContaining([2, 3]), 15]);
    const held = listed('first', 'val');
    expect([held.length, new Set([...held, ...listed('first', 'train')]).size]).toEqual([5, 20]);

    const second = await train('second', 'seed=7', 'data.fraction=0.6', 'data.eval_images=4');
    expect(second.code).toBe(0);
    expect(listed('second', 'val')).toEqual(held);
    const used = readFileSync(join(folder, 'second/train_images.txt'), 'utf8').trimEnd().split('\n');
    expect(used.length).toBe(9);
    expect(used.filter((name) => held.some((each) => name.endsWith(each)))).toEqual([]);
    const { evaluation_images } = JSON.parse(readFileSync(join(folder, 'second/E2E/result.json'), 'utf8'));
    expect(evaluation_images).toBe(4);
  });

  test('eval --split held-out evaluates on the images that the run was evaluated on, and only if there are any', async () => {
    expect((await train('evaluated')).code).toBe(0);
    const result = JSON.parse(readFileSync(join(folder, 'evaluated/E2E/result.json'), 'utf8'));
    const evaluate = (...args: string[]) =>
      cli(['eval', join(folder, 'evaluated/E2E'), '--data', data, '--json', ...args]);
    const held = await evaluate('--split', 'held-out');
    expect([held.code, held.stderr]).toEqual([0, expect.not.stringContaining('--split held-out selects')]);
    const scores = JSON.parse(held.stdout);
    expect([scores.images, scores.top1, scores.split]).toEqual([5, result.top1, 'held-out']);
    expect(scores.loss).toBeCloseTo(result.loss, 5);
    const all = await evaluate();
    expect([JSON.parse(all.stdout).images, all.stderr]).toEqual([
      20,
      expect.stringContaining('--split held-out selects'),
    ]);
    const other = await cli([
      'eval',
      goldenPath('ckpt/FT.pth'),
      '--set',
      'model.heads=4',
      '--data',
      goldenPath('png'),
      '--split',
      'held-out',
    ]);
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('does not record a data.split')]);
  });

  test('cannot be continued with another split', async () => {
    expect((await train('third')).code).toBe(0);
    const other = await train('third', 'data.split.seed=1', 'phases.E2E.epochs=2');
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('data.split.seed')]);
  });
});

test.each([
  ['data.split={val: 1.5}', /data\.split\.val/],
  ['data.split={val: 0}', /data\.split\.val/],
  ['data.split={}', /data\.split\.val/],
  ['data.split={test: 0.1}', /data\.split/],
  ['data.split={val: 19}', /cannot hold out 19 of 20 training images/],
  ['data.eval_split=test', /data\.split and data\.eval_split: test/],
])('%s: exit 2', async (setting, message) => {
  const { code, stdout, stderr } = await cli(['plan', recipe, ...SPLIT, '--set', setting]);
  expect([code, stdout, stderr]).toEqual([2, '', expect.stringMatching(message)]);
});
