import { expect, test } from 'vitest';
import { failure } from '../../test/fixtures/data-fixture.js';
import { phaseOf } from './compile.js';
import type { PhaseName } from './phase.js';
import { checkedRecipe } from './recipe.js';

function recipeWith(change: { readonly training?: object; readonly phases?: object }) {
  return checkedRecipe(
    {
      name: 'x',
      model: { image_size: 16, patch_size: 8, classes: 10, width: 16, depth: 4, heads: 2 },
      incubation: { modules: 2 },
      data: { format: 'folder', path: 'images' },
      ...change,
    },
    'x.yaml',
  );
}

const optimizerOf = (change: Parameters<typeof recipeWith>[0], name: PhaseName) =>
  phaseOf(recipeWith(change), name).settings.optimizer;

test('the defaults of muon are those of torch, with the learning rate of AdamW', () => {
  const training = { optimizer: { name: 'muon' } };
  expect(optimizerOf({ training }, 'MT/1')).toMatchObject({
    momentum: 0.95,
    nesterov: true,
    adjust_lr: 'match_rms_adamw',
    matrix_lr_scale: 1,
    betas: [0.9, 0.999],
    eps: 1e-8,
  });
  const sgd = optimizerOf({ training: { optimizer: { name: 'sgd' } } }, 'PT');
  expect(sgd).toMatchObject({ momentum: 0.9, adjust_lr: null, matrix_lr_scale: null });
});

const muon = { optimizer: { name: 'muon' } };
const original = { optimizer: { adjust_lr: 'original' } };
const scale = { optimizer: { matrix_lr_scale: 40 } };

test.each([
  [{ training: original }, 'training.optimizer.adjust_lr'],
  [{ training: scale }, 'training.optimizer.matrix_lr_scale'],
  [
    { training: { optimizer: { name: 'lamb', adjust_lr: 'match_rms_adamw' } } },
    'training.optimizer.adjust_lr',
  ],
  [{ phases: { PT: scale, MT: muon, FT: muon } }, 'phases.PT.optimizer.matrix_lr_scale'],
  [
    { training: muon, phases: { MT: { optimizer: { name: 'sgd', adjust_lr: 'original' } } } },
    'phases.MT.optimizer.adjust_lr',
  ],
  [{ phases: { MT: muon, FT: original } }, 'phases.FT.optimizer.adjust_lr'],
  [{ phases: { PT: muon, modules: { 1: scale } } }, 'phases.modules.1.optimizer.matrix_lr_scale'],
  [{ phases: { PT: muon, E2E: original } }, 'phases.E2E.optimizer.adjust_lr'],
])('%j: a key of muon where the optimiser is another', (change, key) => {
  const { message, hint } = failure(() => recipeWith(change));
  expect(message).toBe(`x.yaml: ${key}: only the optimizer muon has this key`);
  const [section, name] = [key.slice(0, key.indexOf('.optimizer')), key.split('.').at(-1)];
  expect(hint).toBe(`set ${section}.optimizer.name to muon, or leave out ${name}`);
});

test.each([
  [
    {
      training: { optimizer: { ...muon.optimizer, ...original.optimizer } },
      phases: { FT: { optimizer: { name: 'adamw' } } },
    },
  ],
  [{ training: original, phases: { MT: muon } }],
  [{ training: { optimizer: { adjust_lr: null } } }],
  [{ phases: { MT: scale, modules: { 0: muon } } }],
])('%j: a key that some phase uses', (change) => {
  expect(() => recipeWith(change)).not.toThrow();
});

test.each([
  [{ adjust_lr: 'moonshot' }, 'training.optimizer.adjust_lr'],
  [{ matrix_lr_scale: 0 }, 'training.optimizer.matrix_lr_scale'],
])('%j is no valid value', (optimizer, key) => {
  const { message } = failure(() => recipeWith({ training: { optimizer: { name: 'muon', ...optimizer } } }));
  expect(message).toContain(`x.yaml: ${key}`);
});
