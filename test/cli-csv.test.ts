import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, temporaryFolder } from './cli-support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);
const list = at('colours.csv');
const run = at('run');

const rowsOf = (colour: string, count: number, from: number, split: string) =>
  Array.from({ length: count }, (_, i) => `images/${colour}/${from + i}.png,${colour},${split}\n`).join('');
const ROWS = ['blue', 'red']
  .flatMap((colour) => [rowsOf(colour, 8, 0, 'train'), rowsOf(colour, 4, 8, 'val')])
  .join('');
const train = (...more: string[]) => cli(['run', at('recipe.json'), '--out', run, '--quiet', ...more]);

beforeAll(async () => {
  await writeClasses(at('images'), { blue: 2, red: 0 }, 12);
  writeFileSync(list, `path,label,split\n${ROWS}`);
  const recipe = colourRecipe(list, 2) as { model: object; data: object };
  writeFileSync(
    at('recipe.json'),
    JSON.stringify({
      ...recipe,
      model: { ...recipe.model, classes: 'auto' },
      data: { ...recipe.data, format: 'csv' },
    }),
  );
});

test('init writes a recipe for a list, with a split if it has no validation rows', async () => {
  const { code, stdout } = await cli(['init', list, '--out', at('first.yaml')]);
  expect([code, stdout]).toEqual([
    0,
    expect.stringContaining('2 classes, 16 images for training, 8 for evaluation\n'),
  ]);
  const plan = await cli(['plan', at('first.yaml'), '--json']);
  expect([plan.code, JSON.parse(plan.stdout).train_images]).toEqual([0, 16]);
  writeFileSync(at('whole.csv'), `path,label\n${ROWS.replaceAll(/,(train|val)\n/g, '\n')}`);
  expect((await cli(['init', at('whole.csv'), '--print'])).stdout).toContain('split: { val: 0.1 }');
});

test('plan and run print the number of classes that auto found', async () => {
  const line = `model.classes: auto: 2 classes (${list})`;
  expect((await cli(['plan', at('recipe.json')])).stderr).toContain(line);
  const { code, stderr } = await cli(['run', at('recipe.json'), '--out', run]);
  expect([code, stderr]).toEqual([0, expect.stringContaining(line)]);
  expect(JSON.parse(readFileSync(join(run, 'recipe.json'), 'utf8')).model.classes).toBe(2);
});

test('eval, predict and data check read the list', async () => {
  const eval_ = await cli(['eval', join(run, 'E2E'), '--data', list, '--json']);
  expect([eval_.code, JSON.parse(eval_.stdout)]).toMatchObject([0, { images: 8, top1: 100 }]);
  const named = await cli([
    'eval',
    join(run, 'E2E'),
    '--data',
    list,
    '--classes',
    list,
    '--split',
    'all',
    '--json',
  ]);
  expect(JSON.parse(named.stdout)).toMatchObject({ images: 24, top1: 100 });

  writeFileSync(at('new.csv'), 'path\nimages/red/3.png\nimages/none.png\nimages/blue/3.png\n');
  const predict = await cli(['predict', join(run, 'E2E'), at('new.csv'), '--csv', '--top', '1']);
  expect([predict.code, predict.stderr]).toEqual([1, expect.stringContaining('none.png')]);
  expect(
    predict.stdout
      .split('\n')
      .slice(1, 3)
      .map((line) => line.split(',')[1]),
  ).toEqual(['red', 'blue']);

  const check = await cli(['data', 'check', list, '--json']);
  expect(JSON.parse(check.stdout)).toMatchObject({
    format: 'csv',
    parts: { train: { images: 16 }, val: { images: 8 } },
  });
  writeFileSync(
    at('bad.csv'),
    `path,label,split\n${ROWS}images/none.png,red,train\nimages/gone.png,red,val\n`,
  );
  const bad = await cli(['data', 'check', at('bad.csv'), '--json']);
  const problems: { kind: string; images: string[] }[] = JSON.parse(bad.stdout).problems;
  const unreadable = problems.filter(({ kind }) => kind === 'unreadable').flatMap(({ images }) => images);
  expect([bad.code, unreadable.map((path) => path.slice(folder.length + 1)).sort()]).toEqual([
    1,
    ['images/gone.png', 'images/none.png'],
  ]);
});

test('a finished run accepts the same list elsewhere, and refuses one with another label', async () => {
  expect((await train()).code).toBe(0);
  writeFileSync(list, `path,label,split\n${ROWS.replace('0.png,blue', '0.png,red')}`);
  const { code, stderr } = await train('--set', 'phases.E2E.epochs=13');
  expect([code, stderr]).toEqual([2, expect.stringMatching(/train/)]);
});

test('eval reports the calibration error and the numbers of a reliability diagram', async () => {
  const args = ['eval', join(run, 'E2E'), '--data', at('images'), '--split', 'all'];
  const { calibration, images, top1 } = JSON.parse((await cli([...args, '--json'])).stdout);
  const bins: { images: number; confidence: number; accuracy: number }[] = calibration.bins.filter(
    (bin: { images: number }) => bin.images > 0,
  );
  expect(bins.reduce((sum, bin) => sum + bin.images, 0)).toBe(images);
  expect(bins.reduce((sum, bin) => sum + bin.images * bin.accuracy, 0) / images).toBeCloseTo(top1 / 100, 12);
  const gaps = bins.map((bin) => (bin.images * Math.abs(bin.accuracy - bin.confidence)) / images);
  expect(calibration.ece).toBeCloseTo(
    gaps.reduce((sum, gap) => sum + gap, 0),
    12,
  );
  expect((await cli(args)).stdout).toMatch(/calibration error +\d+\.\d\d points \(ECE, 15 bins\)/);
});
