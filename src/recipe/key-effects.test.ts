import { expect, test } from 'vitest';
import { changesOf } from '../launch/recipe-change.js';
import { hasSection } from '../tasks/tasks.js';
import { phaseOf } from './compile.js';
import { effectOf, knownEffect } from './key-effects.js';
import { recipeHash } from './lineage.js';
import { checkedRecipe } from './recipe.js';
import { leafKeys } from './recipe-keys.js';
import { type Recipe, recipeSchema } from './recipe-schema.js';

const keys = leafKeys(recipeSchema, '0');

const base = checkedRecipe(
  {
    name: 'x',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: { format: 'folder', path: 'images' },
    phases: { E2E: {} },
  },
  'the recipe',
);

/** A recipe with another value of a key; it need not be valid. */
function withKey(value: unknown, [key, ...rest]: readonly string[], other: unknown): unknown {
  const object = typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
  const inner: unknown = Reflect.get(object, key);
  return { ...object, [key]: rest.length === 0 ? other : withKey(inner, rest, other) };
}

test('the schema has the expected keys', () => {
  expect(keys.length).toBeGreaterThan(300);
  for (const key of [
    'seed',
    'model.preset',
    'incubation',
    'incubation.depths',
    'data.augment',
    'data.augment.auto',
    'training.distill.teacher',
    'training.early_stop',
    'phases.MT.objective',
    'phases.modules.0.data.path',
    'phases.E2E',
    'phases.E2E.optimizer.lr',
    'run.tensorboard.images',
    'run.slurm.args',
    'versions.0',
  ])
    expect(keys).toContain(key);
  // Sections are no leaves.
  for (const key of ['model', 'training.optimizer', 'phases.modules', 'run.slurm'])
    expect(keys).not.toContain(key);
});

test('every key of a recipe is classified', () => {
  const isOfTask = (key: string) => hasSection(key.split('.', 1)[0]);
  expect(keys.filter((key) => !isOfTask(key) && knownEffect(key) === undefined)).toEqual([]);
  expect(keys.filter((key) => isOfTask(key) && effectOf(key) !== 'result')).toEqual([]);
});

test('a key that is not classified affects the result', () => {
  expect(knownEffect('training.momentum')).toBeUndefined();
  for (const key of ['training.momentum', 'run.gpus', 'data.constructor'])
    expect(effectOf(key)).toBe('result');
});

test.each(keys)('%s: what differs between two recipes follows its class', (key) => {
  const changed = withKey(base, key.split('.'), 'another value') as Recipe;
  const found = changesOf(changed, base).map((change) => change.key);
  expect(found.includes(key)).toBe(effectOf(key) !== 'none');
});

/** Keys whose values reach the hash as they are. */
const hashed = keys.filter((key) => /^(data|training)\./.test(key) && !/^data\.(path|augment)/.test(key));

test.each(hashed)('%s: the hash of a phase follows its class', (key) => {
  const hashOf = (value: unknown) => {
    const recipe = withKey(base, key.split('.'), value) as Recipe;
    const phase = phaseOf(base, 'PT');
    const settings = withKey(phase.settings, key.split('.').slice(1), value) as typeof phase.settings;
    return key.startsWith('training.')
      ? recipeHash({ ...phase, settings })
      : recipeHash({ ...phase, data: recipe.data });
  };
  expect(hashOf('another value') === hashOf('one value')).toBe(effectOf(key) === 'none');
});
