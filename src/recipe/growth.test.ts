import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { planPhases } from '../plan/plan.js';
import { compile, phaseOf } from './compile.js';
import { recipeHash } from './lineage.js';
import { defineRecipe } from './recipe.js';
import type { RecipeInput } from './recipe-schema.js';

const recipeOf = (incubation: RecipeInput['incubation'], rest: Partial<Omit<RecipeInput, 'name'>> = {}) =>
  defineRecipe({
    name: 'growing',
    model: { preset: 'vit-tiny', image_size: 32, classes: 10 },
    incubation,
    data: { format: 'folder' },
    training: { batch_size: 10, epochs: 1 },
    ...rest,
  });

const sourcesOf = (...args: Parameters<typeof recipeOf>) =>
  compile(recipeOf(...args)).map(({ name, depths, sources, init }) => [name, depths, sources, init]);

test('modules start fresh unless the recipe says otherwise, and only what changes a phase changes its hash', () => {
  const [fresh, explicit, grown] = [{}, { init: 'fresh' }, { init: 'grown' }] as const;
  expect(sourcesOf({ modules: 2, ...fresh })[1]).toEqual(['MT/0', [6, 1], [null, 'PT'], 'fresh']);
  const hashOf = (incubation: object) => {
    const recipe = recipeOf({ modules: 2, ...incubation });
    return ['PT', 'MT/0', 'FT'].map((name) => recipeHash(phaseOf(recipe, name as 'PT')));
  };
  expect(hashOf(fresh)).toEqual(hashOf(explicit));
  const [[pt, mt, ft], [ptGrown, mtGrown, ftGrown]] = [hashOf(fresh), hashOf(grown)];
  expect([pt, ft]).toEqual([ptGrown, ftGrown]);
  expect(mt).not.toBe(mtGrown);
});

test.each(['grown', 'stacked'] as const)('%s modules start from the whole meta model', (init) => {
  expect(sourcesOf({ modules: 2, init })).toEqual([
    ['PT', [1, 1], [null, null], 'fresh'],
    ['MT/0', [6, 1], ['PT', 'PT'], init],
    ['MT/1', [1, 6], ['PT', 'PT'], init],
    ['FT', [6, 6], ['MT/0', 'MT/1'], 'fresh'],
  ]);
  expect(sourcesOf({ modules: 2, init }, { start: { meta: 'meta.pth' } })[0]).toEqual([
    'MT/0',
    [6, 1],
    ['start.meta', 'start.meta'],
    init,
  ]);
});

test('with growth, FT trains the whole model from the meta model, and the baseline costs as much', () => {
  const recipe = recipeOf({ modules: 2, strategy: 'growth' }, { phases: { E2E: {} } });
  expect(compile(recipe).map(({ name, depths, sources, init }) => [name, depths, sources, init])).toEqual([
    ['PT', [1, 1], [null, null], 'fresh'],
    ['FT', [6, 6], ['PT', 'PT'], 'grown'],
    ['E2E', [6, 6], [null, null], 'fresh'],
  ]);
  const { phases, incubation } = planPhases(compile(recipe), 100);
  // 100 images through 2 blocks in PT, 12 in FT.
  expect(incubation.block_passes).toBe(100 * 3 * (2 + 12));
  expect(phases[2].block_passes / incubation.block_passes).toBeCloseTo(1, 1);
  expect(sourcesOf({ modules: 2, strategy: 'growth', init: 'stacked' })[1]).toEqual([
    'FT',
    [6, 6],
    ['PT', 'PT'],
    'stacked',
  ]);
  expect(sourcesOf({ modules: 2, strategy: 'growth' }, { start: { meta: 'meta.pth' } })).toEqual([
    ['FT', [6, 6], ['start.meta', 'start.meta'], 'grown'],
  ]);
});

test('a given model is fine-tuned unchanged', () => {
  expect(sourcesOf({ modules: 2, strategy: 'growth' }, { start: { model: 'some.pth' } })).toEqual([
    ['FT', [6, 6], ['start.model', 'start.model'], 'fresh'],
  ]);
});

const resnet: RecipeInput['model'] = { family: 'resnet', blocks: [2, 2, 2], classes: 10 };

test.each<[RecipeInput['incubation'], Partial<RecipeInput>, string]>([
  [{ modules: 2, strategy: 'growth', init: 'fresh' }, {}, 'incubation.init fresh: the model cannot grow'],
  [{ modules: 2, strategy: 'growth', together: true }, {}, 'incubation.together: no modules'],
  [{ depths: [1, 11], meta_depth: 2, init: 'grown' }, {}, 'module 0 has 1 blocks, its meta stage 2'],
  [{ depths: [2, 10], meta_depth: 3, strategy: 'growth' }, {}, 'module 0 has 2 blocks, its meta stage 3'],
  [{ depths: [1, 5], init: 'grown' }, { model: resnet }, 'stands for blocks 2 and 4'],
  [{ modules: 3, init: 'stacked' }, { model: resnet }, 'shapes of block 3'],
])('%j is refused before anything is trained: %s', (incubation, rest, message) => {
  expect(() => recipeOf(incubation, rest)).toThrow(InputError);
  expect(() => recipeOf(incubation, rest)).toThrow(message);
});
