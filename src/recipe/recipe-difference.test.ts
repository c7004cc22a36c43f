import { expect, test } from 'vitest';
import { recipeDifference } from './recipe-difference.js';

test('settings by their path, lists as one value, keys that only one recipe has', () => {
  const here = { name: 'a', training: { lr: 1, betas: [0.9, 0.99] }, seed: 0 };
  const there = { name: 'a', training: { lr: 2, betas: [0.9, 0.95], ema: null } };
  expect(recipeDifference(here, there)).toEqual([
    { key: 'training.lr', here: '1', there: '2' },
    { key: 'training.betas', here: '[0.9,0.99]', there: '[0.9,0.95]' },
    { key: 'seed', here: '0', there: null },
    { key: 'training.ema', here: null, there: 'null' },
  ]);
});
