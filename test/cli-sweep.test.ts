import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { colourRecipe, writeClasses } from './class-images.js';
import { cli, start, temporaryFolder, until } from './cli-support.js';

const folder = temporaryFolder();
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  for (const part of ['train', 'val']) await writeClasses(at(`images/${part}`), { blue: 2, red: 0 }, 8);
  const recipe = colourRecipe(at('images'), 2) as { training: object; phases: object };
  writeFileSync(
    at('recipe.json'),
    JSON.stringify({
      ...recipe,
      training: { ...recipe.training, eval_every: 4 },
      phases: { E2E: { epochs: 4 } },
    }),
  );
});

const sweep = (out: string, ...more: string[]) => [
  'sweep',
  at('recipe.json'),
  '--out',
  at(out),
  '--json',
  ...more,
];
const RATES = ['--set', 'training.optimizer.lr=1e-2,1e-6', '--set', 'seed=0,1'];

interface Trial {
  readonly trial: string;
  readonly settings: readonly string[];
  readonly top1: number | null;
  readonly loss: number | null;
  readonly round: number;
  readonly run: string;
}

const resultsIn = (stdout: string): Trial[] => JSON.parse(stdout);
/** The values that do not depend on the machine or the folder. */
const core = (trials: readonly Trial[]) =>
  trials.map(({ trial, settings, top1, loss, round }) => ({ trial, settings, top1, loss, round }));

test('a killed and resumed sweep ends with the trials and results of an uninterrupted one', async () => {
  const whole = await cli(sweep('whole', ...RATES));
  expect(whole.code).toBe(0);
  const expected = resultsIn(whole.stdout);
  expect(expected.map(({ settings }) => settings.join(' ')).sort()).toEqual([
    'training.optimizer.lr=1e-2 seed=0',
    'training.optimizer.lr=1e-2 seed=1',
    'training.optimizer.lr=1e-6 seed=0',
    'training.optimizer.lr=1e-6 seed=1',
  ]);
  // Best first.
  expect(expected.slice(0, 2).every(({ settings }) => settings[0].endsWith('1e-2'))).toBe(true);

  const killed = start(sweep('killed', ...RATES));
  await until(() => existsSync(at('killed/01/recipe.json')), 'the second trial');
  killed.process.kill('SIGKILL');
  await killed.ended;
  expect(existsSync(at('killed/03'))).toBe(false);
  const first = readFileSync(at('killed/00/summary.json'), 'utf8');
  const resumed = await cli(sweep('killed', ...RATES));
  expect([resumed.code, core(resultsIn(resumed.stdout))]).toEqual([0, core(expected)]);
  expect(readFileSync(at('killed/00/summary.json'), 'utf8')).toBe(first);
  for (const name of ['recipe.json', 'plan.json', 'summary.json', 'report/index.html', 'E2E/metrics.jsonl'])
    expect(existsSync(at(`killed/03/${name}`)), name).toBe(true);

  const report = await cli(['report', at('killed')]);
  expect([report.code, report.stdout.match(/index\.html/g)?.length]).toEqual([0, 4]);

  const other = await cli(sweep('killed', '--set', 'seed=0,1'));
  expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('has another sweep: its trials')]);
});

test('halving: the best trials are trained again for longer', async () => {
  const { code, stdout } = await cli(
    sweep('halving', '--method', 'halving', '--eta', '2', '--set', 'training.optimizer.lr=1e-6,1e-2,1e-7'),
  );
  const results = resultsIn(stdout);
  expect([code, results[0].settings, results.map(({ round }) => round)]).toEqual([
    0,
    ['training.optimizer.lr=1e-2'],
    [3, 2, 1],
  ]);
  const epochs = [0, 1, 2].map(
    (rung) => JSON.parse(readFileSync(at(`halving/rung-${rung}/01/recipe.json`), 'utf8')).phases.E2E.epochs,
  );
  expect(epochs).toEqual([1, 2, 4]);
});

test('a trial that fails is listed, and the others are trained', async () => {
  const args = sweep('failing', '--set', 'training.optimizer.lr=1e-2,1e30');
  const { code, stdout, stderr } = await cli(args);
  const [good, bad] = resultsIn(stdout);
  expect([code, good.top1 !== null, bad.top1]).toEqual([1, true, null]);
  expect(stderr).toContain('1 of 2 trials failed');
});

test.each([
  [['--set', 'training.rate=1,2'], /unknown key training\.rate/],
  [['--set', 'training.optimizer.lr=1,'], /a value is empty/],
  [['--set', 'seed=1,2', '--trials', '3'], /a grid trains every combination/],
  [['--set', 'training.optimizer.lr=log(1e-4,1)'], /a grid has no ranges/],
])('%j: exit 2, nothing is trained', async (more, message) => {
  const { code, stderr } = await cli(sweep('refused', ...more));
  expect([code, stderr, existsSync(at('refused'))]).toEqual([2, expect.stringMatching(message), false]);
});

test('lr-test suggests a rate and writes only the plot', async () => {
  rmSync(at('plot.svg'), { force: true });
  const before = readdirSync(folder).sort();
  const { code, stdout } = await cli([
    'lr-test',
    at('recipe.json'),
    '--steps',
    '40',
    '--plot',
    at('plot.svg'),
    '--json',
  ]);
  const { phase, points, suggestion } = JSON.parse(stdout);
  expect([code, phase, points.length <= 40, points[0].lr]).toEqual([0, 'E2E', true, 1e-6]);
  expect(suggestion.setting).toBeGreaterThan(1e-5);
  expect(suggestion.setting).toBeLessThan(1);
  expect(readFileSync(at('plot.svg'), 'utf8')).toMatch(/^<svg /);
  expect(readdirSync(folder).sort()).toEqual([...before, 'plot.svg'].sort());
  const again = await cli(['lr-test', at('recipe.json'), '--steps', '40', '--json']);
  expect(JSON.parse(again.stdout).points).toEqual(points);
  const text = await cli(['lr-test', at('recipe.json'), '--steps', '20']);
  expect(text.stdout).toContain('E2E: ');
});

test.each([
  [['--phase', 'FT'], /FT cannot be tested/],
  [['--from', '1', '--to', '0.1'], /--from 1 is not below --to 0\.1/],
  [['--steps', '0'], /whole number above 0/],
])('lr-test %j: exit 2', async (more, message) => {
  const { code, stderr } = await cli(['lr-test', at('recipe.json'), ...more]);
  expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
});
