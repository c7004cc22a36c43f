import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { checkedRecipe } from './recipe.js';

test.each([
  [
    { three_augment: true, auto: 'rand-m9' },
    'x.yaml: data.augment: three_augment and auto cannot be combined',
  ],
  [{ three_augment: 3 }, 'x.yaml: data.augment'],
  [{ crop: 'random' }, 'x.yaml: data.augment'],
])('data.augment %j is refused', (augment, message) => {
  const recipe = {
    name: 'x',
    model: { preset: 'vit-tiny' },
    incubation: { modules: 2 },
    data: { format: 'folder', path: 'images', augment },
  };
  expect(() => checkedRecipe(recipe, 'x.yaml')).toThrow(InputError);
  expect(() => checkedRecipe(recipe, 'x.yaml')).toThrow(message);
});
