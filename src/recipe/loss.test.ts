import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { phaseOf } from './compile.js';
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

const distill = { teacher: 'runs/x/FT' };

test.each([
  [{ training: { loss: 'bce', distill } }, 'x.yaml: PT: loss bce and distill cannot be combined'],
  [
    { training: { loss: 'bce' }, phases: { FT: { distill } } },
    'x.yaml: FT: loss bce and distill cannot be combined',
  ],
  [
    { phases: { modules: { 1: { loss: 'bce' } }, MT: { distill } } },
    'x.yaml: MT/1: loss bce and distill cannot be combined',
  ],
  [
    { training: { loss: 'bce', bce_threshold: 0 } },
    'x.yaml: PT: with bce_threshold 0 and label_smoothing 0.1, every class would be a target',
  ],
  [
    { training: { loss: 'bce', label_smoothing: 0, bce_threshold: 0 }, phases: { FT: { bce_threshold: 1 } } },
    'x.yaml: FT: with bce_threshold 1 and label_smoothing 0, no class would be a target',
  ],
  [{ training: { loss: 'focal' } }, 'x.yaml: training.loss'],
])('%j is refused', (change, message) => {
  expect(() => recipeWith(change)).toThrow(InputError);
  expect(() => recipeWith(change)).toThrow(message);
});

test('each phase has its own loss', () => {
  const recipe = recipeWith({
    training: { loss: 'bce', label_smoothing: 0, bce_threshold: 0 },
    phases: { FT: { loss: 'cross-entropy', label_smoothing: 0.1, distill } },
  });
  const of = (name: 'PT' | 'MT/1' | 'FT') => phaseOf(recipe, name).settings.loss;
  expect([of('PT'), of('MT/1'), of('FT')]).toEqual(['bce', 'bce', 'cross-entropy']);
});
