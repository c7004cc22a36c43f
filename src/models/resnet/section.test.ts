import { expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { resnetFamily } from './family.js';
import { resnetConfigOf, resnetSection } from './section.js';

const configOf = (section: object) =>
  resnetConfigOf(resnetSection.parse({ family: 'resnet', ...section }), 'recipe.yaml');

test.each([
  ['resnet-20', 3],
  ['resnet-32', 5],
  ['resnet-44', 7],
  ['resnet-56', 9],
  ['resnet-110', 18],
])('%s has %d blocks of each width: 6n + 2 layers', (preset, n) => {
  expect(configOf({ preset }).blocks).toEqual([n, n, n]);
  expect(6 * n + 2).toBe(Number(preset.split('-')[1]));
});

test('blocks override those of the preset', () => {
  expect(configOf({ preset: 'resnet-20', blocks: [1, 2, 3] })).toEqual({
    imageSize: 32,
    channels: 3,
    classes: 100,
    blocks: [1, 2, 3],
    widths: [16, 32, 64],
    shortcut: 'A',
  });
});

test('without blocks and preset, blocks are missing', () => {
  expect(() => configOf({})).toThrow(InputError);
  expect(() => configOf({})).toThrow('recipe.yaml: model.blocks is missing');
});

test.each([
  [{ preset: 'resnet-50' }],
  [{ shortcut: 'C' }],
  [{ blocks: [-1] }],
  [{ widths: [] }],
  [{ depth: 3 }],
])('the section %o is refused', (section) => {
  expect(resnetSection.safeParse({ family: 'resnet', ...section }).success).toBe(false);
});

test.each([
  [{ blocks: [1, 1] }, 'blocks has 2 entries, but widths has 3'],
  [{ blocks: [1, 1], widths: [16, 24] }, 'widths[1] 24 is not a multiple of the previous width 16'],
  [{ blocks: [1, 0], widths: [16, 32] }, 'blocks of the last width'],
])('%o cannot be combined', (section, message) => {
  const parsed = resnetSection.parse({ family: 'resnet', ...section });
  expect(() => resnetFamily.check(parsed, 'recipe')).toThrow(message);
});
