import { expect, test } from 'vitest';
import { planRun } from '../launch/prepare.js';
import { planDevices } from '../plan/plan-devices.js';
import { compile } from './compile.js';
import { defineRecipe } from './recipe.js';
import type { RecipeInput } from './recipe-schema.js';

const recipeOf = (rest: Omit<Partial<RecipeInput>, 'name'>) =>
  defineRecipe({
    name: 'plain',
    model: { preset: 'vit-tiny', image_size: 32, classes: 10 },
    incubation: 'none',
    data: { format: 'folder' },
    training: { batch_size: 10 },
    ...rest,
  });

test('without incubation a recipe has only E2E, with one stage, whatever it states about other phases', () => {
  const recipe = recipeOf({ phases: { PT: { epochs: 9 }, FT: { epochs: 9 }, E2E: { epochs: 3 } } });
  expect(compile(recipe).map(({ name, depths, sources }) => [name, depths, sources])).toEqual([
    ['E2E', [12], [null]],
  ]);
  const plan = planRun(recipe, 100);
  // 3 epochs of 100 images through 12 blocks: forward, weight gradient, activation gradient.
  expect(plan.phases.map(({ phase, block_passes }) => [phase, block_passes])).toEqual([
    ['E2E', 3 * 100 * 3 * 12],
  ]);
  expect(plan.incubation).toEqual({ block_passes: 0, macs: 0 });
  expect([plan.ratios, plan.train_images]).toEqual([null, 100]);
});

test('on devices only E2E is scheduled', () => {
  const recipe = recipeOf({ training: { batch_size: 10, accumulate: 5 }, phases: { E2E: { epochs: 2 } } });
  const network = { bandwidth: 1e9, overlap: 0 };
  const plan = planRun(recipe, 100);
  const of = (devices: number) => planDevices(compile(recipe), plan, { devices, stepSeconds: null, network });
  expect(of(5).incubation).toBeNull();
  // Five micro-batches a step: a fifth of the time.
  expect((of(1).end_to_end?.wall ?? 0) / (of(5).end_to_end?.wall ?? 0)).toBeCloseTo(5, 9);
});

test('a given whole model is fine-tuned by FT, with a baseline of equal cost', () => {
  const recipe = recipeOf({ start: { model: 'some.pth' }, phases: { FT: { epochs: 2 }, E2E: {} } });
  expect(compile(recipe).map(({ name, sources }) => [name, sources])).toEqual([
    ['FT', ['start.model']],
    ['E2E', [null]],
  ]);
  const [tuned, baseline] = planRun(recipe, 100).phases;
  expect(baseline.block_passes).toBe(tuned.block_passes);
});

test.each<[Omit<Partial<RecipeInput>, 'name'>, string]>([
  [{}, 'there is nothing to train'],
  [{ phases: { E2E: {} } }, 'phases.E2E.epochs is missing'],
  [{ start: { meta: 'PT.pth' }, phases: { E2E: { epochs: 1 } } }, 'start.meta'],
  [{ incubation: 'all' as 'none' }, 'incubation: expected none, or a section'],
])('%j is refused: %s', (rest, message) => {
  expect(() => recipeOf(rest)).toThrow(message);
});
