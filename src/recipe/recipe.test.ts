import { expect, test } from 'vitest';
import { tinyRecipe } from '../../test/cli-support.js';
import { InputError } from '../base/errors.js';
import { checkedRecipe } from './recipe.js';
import { withSettings } from './recipe-file.js';

const withSetting = (setting: string) => checkedRecipe(withSettings(tinyRecipe('images'), [setting]), 'tiny');

test('a module has one name: with another one its settings would be ignored', () => {
  expect(withSetting('phases.modules.1.epochs=5').phases.modules?.[1].epochs).toBe(5);
  for (const name of ['01', '1.0', '-1', 'MT/1']) {
    expect(() => withSetting(`phases.modules={"${name}": {epochs: 5}}`)).toThrow(InputError);
  }
});

test.each(['threads', 'workers', 'parallel'])('run.%s is auto or a possible number', (key) => {
  for (const value of ['auto', 1, 1024])
    expect(withSetting(`run.${key}=${value}`).run).toMatchObject({ [key]: value });
  for (const value of [0, -1, 1.5, 1025, 1e15, 'many', '']) {
    const setting = () => withSetting(`run.${key}=${value}`);
    expect(setting).toThrow(InputError);
    expect(setting).toThrow(`tiny: run.${key}: `);
  }
});

test.each([
  ['data.path', 'data.path="a\\0b"'],
  ['start.model', 'start.model="a\\0b"'],
  ['training.distill.teacher', 'training.distill={teacher: "\\0"}'],
])('%s: no file has U+0000 in its name', (key, setting) => {
  expect(() => withSetting(setting)).toThrow(InputError);
  expect(() => withSetting(setting)).toThrow(`tiny: ${key}: a path cannot contain the character U+0000`);
});

test.each([1e308, 1e-300])('an MLP of a possible width: not with model.mlp_ratio %s', (ratio) => {
  const set = () => withSetting(`model.mlp_ratio=${ratio}`);
  expect(set).toThrow(InputError);
  expect(set).toThrow(
    /^tiny: model\.mlp_ratio \S+ gives an MLP of (Infinity|0|1\.6e\+309) units for the width 16$/,
  );
});

test('a name is one line of text', () => {
  const named = (name: string) => checkedRecipe({ ...tinyRecipe('images'), name }, 'tiny').name;
  expect(named('ViT-B, 4 modules: äöü 模型')).toBe('ViT-B, 4 modules: äöü 模型');
  expect(named('a block of YAML\n')).toBe('a block of YAML');
  for (const name of ['', ' ', 'two\nlines', '\u001b[2J']) expect(() => named(name)).toThrow('tiny: name: ');
});

test.each([
  ['data.mean', '[0.485, 0.456, 0.406]', true],
  ['data.mean', '[123.675, 116.28, 103.53]', false],
  ['data.std', '[58.4, 57.1, 57.4]', false],
  ['data.mean', '[0.5, 0.5, -2]', false],
])('%s of %s is of pixels from 0 to 1: %s', (key, value, isValid) => {
  const setting = () => withSetting(`${key}=${value}`);
  if (isValid) expect(setting).not.toThrow();
  else expect(setting).toThrow('tiny: data.mean and data.std are of pixels from 0 to 1, and hold ');
});

test.each([
  ['model.depth=100000000', 'tiny: model.depth: '],
  [
    'incubation.meta_depth=100000000',
    'tiny: incubation.meta_depth 100000000 makes a meta model of more than 1000',
  ],
  ['model={family: resnet, blocks: [100000000, 1, 1], classes: 2}', 'tiny: model.blocks.0: '],
])('%s is refused before a plan lists the blocks', (setting, message) => {
  expect(() => withSetting(setting)).toThrow(message);
});

test.each([
  ['phases.E2E.epochs=many', 'tiny: phases.E2E.epochs: Invalid input: expected number, received string'],
  ['phases.E2E=non', 'tiny: phases.E2E: expected none or a section'],
  ['incubation.modules=many', 'tiny: incubation.modules: Invalid input: expected number, received string'],
  ['data.augment={mixup: a}', 'tiny: data.augment.mixup: Invalid input: expected number, received string'],
  ['data.augment=some', 'tiny: data.augment: expected none or a section'],
  ['training.class_weights=some', 'tiny: training.class_weights: expected balanced or a list'],
  ...['many', '0', '1.5', '-3', '{seed: 1}'].map((val) => [
    `data.split.val=${val}`,
    'tiny: data.split.val: expected a share (above 0 and below 1) or a number of images',
  ]),
  ['run.threads=0', 'tiny: run.threads: expected auto or a whole number from 1 to 1024'],
  [
    'training.class_weights=[a]',
    'tiny: training.class_weights.0: Invalid input: expected number, received string',
  ],
  [
    'phases.E2E={epochs: 1, local: {method: dgm}}',
    "tiny: phases.E2E.local.method: Invalid discriminator value. Expected 'dgl' | 'infopro'",
  ],
])('%s: the error names the key inside a value of several forms', (setting, message) => {
  expect(() => withSetting(setting)).toThrow(new InputError(message));
});
