import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { compile } from '../recipe/compile.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { budgetSettings, gridTrials, halvingRungs, randomTrials, sweepKey } from './sweep-trials.js';

const keys = (...texts: string[]) => texts.map(sweepKey);

describe('values', () => {
  test.each<[string, readonly string[]]>([
    ['a.b=1,2', ['1', '2']],
    ['a=1', ['1']],
    ['a=1e-3, 1e-4', ['1e-3', '1e-4']],
    ['a=[1, 2],[3]', ['[1, 2]', '[3]']],
    ['a={x: 1, y: 2},null', ['{x: 1, y: 2}', 'null']],
    ['a="x, y",z', ['"x, y"', 'z']],
    ['a=x=1,y', ['x=1', 'y']],
  ])('%s', (text, values) => {
    expect(sweepKey(text).values).toEqual({ kind: 'list', values });
  });

  test('ranges', () => {
    expect(sweepKey('a=log(1e-5, 1e-2)').values).toEqual({ kind: 'log', low: 1e-5, high: 1e-2 });
    expect(sweepKey('a=uniform(-1,2)').values).toEqual({ kind: 'uniform', low: -1, high: 2 });
  });

  test.each(['a', '=1', 'a=', 'a=1,,2', 'a=1,1', 'a=[1', 'a=log(0,1)', 'a=log(2,1)', 'a=uniform(x,1)'])(
    '%s is refused',
    (text) => {
      expect(() => sweepKey(text)).toThrow(InputError);
    },
  );
});

test('a grid has every combination, the last key fastest', () => {
  const trials = gridTrials(keys('a=1,2', 'b=x', 'c=3,4'));
  expect(trials.map(({ name }) => name)).toEqual(['00', '01', '02', '03']);
  expect(trials.map(({ settings }) => settings.join(' '))).toEqual([
    'a=1 b=x c=3',
    'a=1 b=x c=4',
    'a=2 b=x c=3',
    'a=2 b=x c=4',
  ]);
  expect(() => gridTrials(keys('a=log(1,2)'))).toThrow('a grid has no ranges');
});

describe('random trials', () => {
  const some = keys('a=1,2,3', 'b=log(1e-4,1)', 'c=uniform(0,10)');

  test('are the same for the same seed; more trials include fewer', () => {
    const ten = randomTrials(some, { count: 10, seed: 0 });
    expect(randomTrials(some, { count: 10, seed: 0 })).toEqual(ten);
    expect(randomTrials(some, { count: 4, seed: 0 })).toEqual(ten.slice(0, 4));
    expect(randomTrials(some, { count: 10, seed: 1 })).not.toEqual(ten);
  });

  test('are within the ranges, on a logarithmic or a linear scale', () => {
    const trials = randomTrials(some, { count: 400, seed: 0 });
    const valuesOf = (key: number) => trials.map(({ settings }) => Number(settings[key].slice(2)));
    const [a, b, c] = [0, 1, 2].map(valuesOf);
    expect(new Set(a)).toEqual(new Set([1, 2, 3]));
    for (const [values, low, middle, high] of [
      [b, 1e-4, 1e-2, 1],
      [c, 0, 5, 10],
    ] as const) {
      expect(Math.min(...values)).toBeGreaterThanOrEqual(low);
      expect(Math.max(...values)).toBeLessThanOrEqual(high);
      const below = values.filter((value) => value < middle).length / values.length;
      expect(Math.abs(below - 0.5)).toBeLessThan(0.125);
    }
  });

  test('of lists only: combinations of the grid, each once', () => {
    const lists = keys('a=1,2', 'b=1,2,3');
    const trials = randomTrials(lists, { count: 6, seed: 3 }).map(({ settings }) => settings.join(' '));
    expect([...trials].sort()).toEqual(
      gridTrials(lists)
        .map(({ settings }) => settings.join(' '))
        .sort(),
    );
    expect(() => randomTrials(lists, { count: 7, seed: 3 })).toThrow('there are only 6 combinations');
  });
});

test.each([
  [
    9,
    3,
    [
      [9, 1 / 9],
      [3, 1 / 3],
      [1, 1],
    ],
  ],
  [
    8,
    2,
    [
      [8, 1 / 8],
      [4, 1 / 4],
      [2, 1 / 2],
      [1, 1],
    ],
  ],
  [
    5,
    3,
    [
      [5, 1 / 9],
      [2, 1 / 3],
      [1, 1],
    ],
  ],
  [1, 3, [[1, 1]]],
])('halving of %i trials by %i', (trials, eta, rungs) => {
  const found = halvingRungs(trials, eta);
  expect(found.map((rung) => rung.trials)).toEqual(rungs.map(([count]) => count));
  for (const [i, { share }] of found.entries()) expect(share).toBeCloseTo(rungs[i][1], 12);
});

const recipe = (phases: object) =>
  checkedRecipe(
    {
      name: 'x',
      model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
      incubation: { modules: 2 },
      data: { format: 'folder', path: 'images' },
      training: { schedule: { kind: 'multi-step', warmup: 2, milestones: [10, 20] } },
      phases,
    },
    'x.yaml',
  );

const budget = (phases: object, share: number) => {
  const own = recipe(phases);
  return budgetSettings(compile(own), Object.keys(own.phases.modules ?? {}), share);
};

test('every phase is shortened, with its warm-up and milestones', () => {
  const phases = {
    PT: { epochs: 40 },
    MT: { epochs: 20 },
    FT: { epochs: 10, schedule: { warmup: 0, milestones: [] } },
  };
  expect(budget(phases, 0.1)).toEqual([
    'phases.PT.epochs=4',
    'phases.PT.schedule.warmup=0.2',
    'phases.PT.schedule.milestones=[1, 2]',
    'phases.MT.epochs=2',
    'phases.MT.schedule.warmup=0.2',
    'phases.MT.schedule.milestones=[1, 2]',
    'phases.FT.epochs=1',
    'phases.FT.schedule.warmup=0',
  ]);
  expect(budget(phases, 1)).toEqual([]);
});

test('a module with a section of its own keeps it; a baseline of equal cost follows the others', () => {
  const settings = budget({ MT: { epochs: 20 }, modules: { 1: { epochs: 30 } }, E2E: {} }, 0.5);
  expect(settings).toContain('phases.MT.epochs=10');
  expect(settings).toContain('phases.modules.1.epochs=15');
  expect(settings.some((setting) => setting.startsWith('phases.E2E'))).toBe(false);
  expect(budget({ E2E: { epochs: 8 } }, 0.5)).toContain('phases.E2E.epochs=4');
});
