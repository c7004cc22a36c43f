import { expect, test } from 'vitest';
import { compile } from '../recipe/compile.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { budgetSettings } from './sweep-budget.js';

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
