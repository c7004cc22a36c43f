import { expect, test } from 'vitest';
import { failure } from '../../test/fixtures/data-fixture.js';
import { compile, phasesNamed } from './compile.js';
import { defineRecipe } from './recipe.js';

const recipe = defineRecipe({
  name: 'divided',
  model: { preset: 'vit-tiny' },
  incubation: { modules: 3 },
  data: { format: 'folder' },
});

test('MT stands for all modules, each once, in the order of the recipe', () => {
  expect(phasesNamed(compile(recipe), ['MT'])).toEqual(['MT/0', 'MT/1', 'MT/2']);
  expect(phasesNamed(compile(recipe), ['FT', 'MT', 'MT/1', 'PT'])).toEqual([
    'PT',
    'MT/0',
    'MT/1',
    'MT/2',
    'FT',
  ]);
});

test.each(['MT/9', 'MT/', 'mt', 'E2E'])('%s is refused; the hint lists the phases', (name) => {
  const { message, hint } = failure(() => phasesNamed(compile(recipe), ['PT', name]));
  expect(message).toBe(`divided has no phase ${name}`);
  expect(hint).toBe('its phases are PT, MT/0, MT/1, MT/2, FT; MT means all modules');
});

test('MT is refused if the model is not divided', () => {
  const whole = defineRecipe({ ...recipe, incubation: 'none', phases: { E2E: { epochs: 1 } } });
  const { message, hint } = failure(() => phasesNamed(compile(whole), ['MT']));
  expect(message).toBe('divided has no phase MT');
  expect(hint).toBe('its phases are E2E');
});
