import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { testFolder } from '../../test/fixtures/data-fixture.js';
import type { TensorData } from '../base/tensor-data.js';
import type { Dataset } from '../data/dataset.js';
import { planRun } from '../launch/prepare.js';
import type { VitSection } from '../models/vit/section.js';
import { phaseOf } from './compile.js';
import { changesSince, dataHash, earlierHashes, lineageIn, recipeHash, weightsHash } from './lineage.js';
import type { Phase, PhaseName } from './phase.js';
import { defineRecipe } from './recipe.js';
import type { Recipe, RecipeInput } from './recipe-schema.js';

const folder = testFolder();

const tensor = (values: readonly number[], shape: readonly number[] = [values.length]): TensorData => ({
  dtype: 'U8',
  shape,
  data: Uint8Array.from(values),
});

test('the hash of weights covers names, dtypes, shapes and bytes, in any order', () => {
  const [a, b] = [tensor([1, 2, 3, 4]), tensor([5])];
  const hash = weightsHash([
    new Map([
      ['a', a],
      ['b', b],
    ]),
    new Map(),
  ]);
  const sum = createHash('sha256')
    .update('[0,"a","U8",[4]]\n\x01\x02\x03\x04[0,"b","U8",[1]]\n\x05')
    .digest('hex');
  expect(hash).toBe(sum);
  expect(
    weightsHash([
      new Map([
        ['b', b],
        ['a', a],
      ]),
      new Map(),
    ]),
  ).toBe(hash);
  for (const other of [
    [
      new Map([
        ['a', a],
        ['c', b],
      ]),
    ],
    [
      new Map([
        ['a', tensor([1, 2, 3, 4], [2, 2])],
        ['b', b],
      ]),
    ],
    [
      new Map([
        ['a', { ...a, dtype: 'I8' as const }],
        ['b', b],
      ]),
    ],
    [
      new Map([
        ['a', tensor([1, 2, 3, 5])],
        ['b', b],
      ]),
    ],
    [new Map([['a', a]]), new Map([['b', b]])],
  ]) {
    expect(weightsHash(other)).not.toBe(hash);
  }
});

function recipeWith(change: Partial<RecipeInput> = {}): Recipe {
  return defineRecipe({
    name: 'x',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: { format: 'folder', path: 'here' },
    ...change,
  });
}
/** A phase that begins on a CPU, where precision auto is float32. */
function begunOnCpu(recipe: Recipe, name: PhaseName): Phase {
  const phase = phaseOf(recipe, name);
  return { ...phase, settings: { ...phase.settings, precision: 'float32' } };
}

const hashOf = (recipe: Recipe, name: PhaseName) => recipeHash(begunOnCpu(recipe, name));

test('the hash of a recipe covers what affects the phase', () => {
  const base = recipeWith();
  const same = recipeWith({
    name: 'y',
    data: { path: 'there', format: 'folder' },
    training: { log_every: 3, checkpoint_every: 9, keep_checkpoints: 5 },
    run: { device: 'cpu' },
  });
  for (const name of ['PT', 'MT/0', 'MT/1', 'FT'] as const) {
    expect(hashOf(same, name)).toBe(hashOf(base, name));
    expect(hashOf(recipeWith({ seed: 1 }), name)).not.toBe(hashOf(base, name));
  }
  const own = recipeWith({ phases: { modules: { 1: { epochs: 5, data: { train_images: 9 } } } } });
  const deeper = recipeWith({
    model: { ...(base.model as VitSection), depth: 5 },
    incubation: { depths: [2, 3] },
  });
  const changed = (recipe: Recipe) =>
    (['PT', 'MT/0', 'MT/1', 'FT'] as const).filter((name) => hashOf(recipe, name) !== hashOf(base, name));
  expect(changed(own)).toEqual(['MT/1']);
  expect(changed(deeper)).toEqual(['MT/1', 'FT']);
});

test('checkpoints of earlier versions, whose hash covered settings that affect no result, match the recipe', () => {
  // From the commit before they were left out.
  const before = {
    plain: '00cfd121b778bbb08940b21b92f4bf71a1e0f65f3f264e70058456b2ca1b7da9',
    replaced: '75df98c1b300df0278781b8ee726f684a1abf77f9ccbae7d2781234cd8e59ea5',
    checkpointing: '960769bfe4f1389e8c4dadcd0ca7de909f3c118ad0325ad429e832cf017cd777',
  };
  const recipes = {
    plain: recipeWith(),
    replaced: recipeWith({ data: { format: 'folder', path: 'here', bad_images: 'replace' } }),
    checkpointing: recipeWith({ training: { activation_checkpointing: true } }),
  };
  expect(hashOf(recipes.plain, 'MT/1')).toBe(before.plain);
  const lineage = (recipe: string) => ({ parent: null, recipe, data: '' });
  for (const began of [before.plain, before.replaced, before.checkpointing]) {
    for (const recipe of Object.values(recipes)) {
      const earlier = earlierHashes(begunOnCpu(recipe, 'MT/1'));
      expect(changesSince(lineage(began), lineage(hashOf(recipe, 'MT/1')), earlier)).toEqual([]);
    }
    const other = recipeWith({ seed: 1 });
    const earlier = earlierHashes(begunOnCpu(other, 'MT/1'));
    expect(changesSince(lineage(began), lineage(hashOf(other, 'MT/1')), earlier)).toHaveLength(1);
  }
});

test('settings of a single module take precedence', () => {
  const recipe = recipeWith({
    phases: { MT: { epochs: 7, optimizer: { lr: 1, eps: 2 } }, modules: { 1: { optimizer: { lr: 3 } } } },
  });
  const [first, second] = (['MT/0', 'MT/1'] as const).map((name) => phaseOf(recipe, name).settings);
  expect([first.epochs, first.optimizer.lr, first.optimizer.eps]).toEqual([7, 1, 2]);
  expect([second.epochs, second.optimizer.lr, second.optimizer.eps]).toEqual([7, 3, 2]);
  expect(() => recipeWith({ phases: { modules: { 2: {} } } })).toThrow('the modules are 0 to 1');
  expect(() => recipeWith({ phases: { modules: { x: {} } } })).toThrow('phases.modules');
});

test('a plan counts the images that each phase learns from', () => {
  const recipe = recipeWith({ training: { batch_size: 10, epochs: 1 } });
  const { phases, train_images } = planRun(recipe, (name) => (name === 'MT/1' ? 200 : 100));
  expect(phases.map(({ phase, images }) => [phase, images])).toEqual([
    ...[
      ['PT', 100],
      ['MT/0', 100],
      ['MT/1', 200],
      ['FT', 100],
    ],
  ]);
  expect(train_images).toBe(100);
});

function datasetIn(root: string, names: readonly string[], change: Partial<Dataset> = {}): Dataset {
  return {
    length: names.length,
    classes: ['cat', 'dog'],
    label: (i) => i % 2,
    describe: (i) => join(root, names[i]),
    source: (i) => ({ file: join(root, names[i]) }),
    ...change,
  };
}

test('the hash of a data set does not depend on its path, but on its images', () => {
  const names = ['cat/1.png', 'dog/1.png', 'cat/2.png'];
  for (const root of ['a', 'b/c']) for (const name of names) folder.write(`${root}/${name}`, name);
  const [a, b] = ['a', 'b/c'].map((root) => join(folder.path, root));
  const hash = dataHash(datasetIn(a, names));
  expect(dataHash(datasetIn(b, names))).toBe(hash);
  expect(dataHash(datasetIn(a, names.slice(0, 2)))).not.toBe(hash);
  expect(dataHash(datasetIn(a, names, { label: () => 0 }))).not.toBe(hash);
  expect(dataHash(datasetIn(a, names, { classes: ['cat', 'cow'] }))).not.toBe(hash);
  folder.write('b/c/cat/2.png', 'longer than before');
  expect(dataHash(datasetIn(b, names))).not.toBe(hash);
});

test('a manifest without a lineage, or with an invalid one, has none', () => {
  const lineage = { parent: null, recipe: 'a'.repeat(64), data: '0'.repeat(64) };
  expect(lineageIn({ lineage })).toEqual(lineage);
  for (const other of [undefined, null, 'x', {}, { ...lineage, parent: '..' }]) {
    expect(lineageIn({ lineage: other })).toBeUndefined();
  }
});
