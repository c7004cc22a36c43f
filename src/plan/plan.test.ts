import { expect, test } from 'vitest';
import { tinyRecipe } from '../../test/cli-support.js';
import { InputError } from '../base/errors.js';
import { compile } from '../recipe/compile.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { withSettings } from '../recipe/recipe-file.js';
import { planPhases } from './plan.js';

const plan = (setting: string) =>
  planPhases(compile(checkedRecipe(withSettings(tinyRecipe('images'), [setting]), 'tiny')), 16);

test.each([
  ['training.epochs=1e308', 'MT/0: epochs 1e+308: it would train Infinity images'],
  ['phases.PT.epochs=1e15', 'PT: epochs 1000000000000000: it would train 16000000000000000 images'],
])('%s: more images than can be counted', (setting, message) => {
  expect(() => plan(setting)).toThrow(InputError);
  expect(() => plan(setting)).toThrow(message);
});

test('many epochs', () => {
  expect(plan('phases.PT.epochs=1e9').phases[0]).toMatchObject({ steps: 2e9, images: 16e9 });
});
