import { expect, test } from 'vitest';
import { planRun } from '../launch/plan-recipe.js';
import { compile } from '../recipe/compile.js';
import { defineRecipe } from '../recipe/recipe.js';

/** Ratios of cost to 300 epochs of end-to-end training. */
test.each([
  ['vit-base', 1.222, 1.167, 1.139, 0.806],
  ['vit-large', 0.944, 0.917, 0.903, 0.736],
  ['vit-huge', 0.875, 0.854, 0.844, 0.719],
] as const)('%s', (preset, official, frozen, shared, given) => {
  const recipe = defineRecipe({
    name: preset,
    model: { preset },
    incubation: { modules: 4 },
    data: { format: 'folder' },
    phases: { E2E: { epochs: 300 } },
  });
  const { ratios } = planRun(recipe, 1_281_167);
  expect(ratios?.official).toBeCloseTo(official, 3);
  expect(ratios?.frozen).toBeCloseTo(frozen, 3);
  expect(ratios?.prefix_shared).toBeCloseTo(shared, 3);
  expect(ratios?.meta_given).toBeCloseTo(given, 3);
});

/** The same section: 3L + 18 block-passes of an image through all modules, 3L + 15 with the prefix shared. */
test('what modules save that are incubated together', () => {
  const recipe = defineRecipe({
    name: 'together',
    model: { preset: 'vit-base' },
    incubation: { modules: 4, together: true },
    data: { format: 'folder' },
  });
  const { together, phases } = planRun(recipe, 10_000);
  const modules = phases.filter(({ phase }) => phase.startsWith('MT/'));
  expect(together?.saved_block_passes).toBe(3 * modules[0].images);
  const held = modules.reduce((sum, { model_bytes }) => sum + model_bytes, 0);
  const peaks = modules.map(({ memory }) => memory.peak ?? 0);
  expect(together?.memory_bytes).toBeGreaterThan(held);
  expect(together?.memory_bytes).toBeLessThan(peaks.reduce((a, b) => a + b));
  const apart = defineRecipe({ ...recipe, incubation: { modules: 4 } });
  expect(planRun(apart, 10_000).together).toBeNull();
});

/** The same section: multiply-accumulates of one image, in 1e9. */
test.each([
  ['vit-base', 224, 17.56],
  ['vit-base', 384, 55.48],
  ['vit-large', 224, 61.55],
  ['vit-large', 384, 191.07],
  ['vit-huge', 224, 167.3],
  ['vit-huge', 392, 544.95],
] as const)('%s at %i px', (preset, image_size, expected) => {
  const recipe = defineRecipe({
    name: preset,
    model: { preset, image_size },
    incubation: { modules: 4 },
    data: { format: 'folder' },
  });
  const { forward_macs } = planRun(recipe, 10_000).phases[5];
  expect(forward_macs / 1e9).toBeCloseTo(expected, 2);
});

test('without a baseline, or a module, there is no ratio', () => {
  const base = {
    name: 'x',
    model: { preset: 'vit-base' },
    incubation: { modules: 4 },
    data: { format: 'folder' },
  } as const;
  expect(planRun(defineRecipe(base), 10_000).ratios).toBeNull();
  const tuned = defineRecipe({ ...base, start: { model: 'x.pth' }, phases: { E2E: { epochs: 1 } } });
  expect(compile(tuned).map(({ name }) => name)).toEqual(['FT', 'E2E']);
  expect(planRun(tuned, 10_000).ratios).toBeNull();
});
