import { expect, test } from 'vitest';
import type { Dataset } from '../../data/dataset.js';
import { compile } from '../../recipe/compile.js';
import { checkedRecipe } from '../../recipe/recipe.js';
import { imbalanceLine } from './imbalance.js';

const phases = (data: object = {}, training: object = {}, more: object = {}) =>
  compile(
    checkedRecipe(
      {
        name: 'x',
        model: { image_size: 16, patch_size: 8, classes: 3, width: 16, depth: 4, heads: 2 },
        incubation: { modules: 2 },
        data: { format: 'folder', path: 'images', ...data },
        training,
        ...more,
      },
      'x.yaml',
    ),
  );

function images(...counts: readonly number[]): Dataset {
  const labels = counts.flatMap((count, label) => new Array<number>(count).fill(label));
  return {
    length: labels.length,
    classes: ['ant', 'bee', 'cat'],
    label: (i) => labels[i],
    describe: String,
    source: () => ({ file: '' }),
  };
}

test('the ratio, both classes and both remedies are named', () => {
  expect(imbalanceLine(phases(), images(20, 1000, 50))).toBe(
    'warning: imbalanced classes: bee (1,000) has 50 times the training images of ant (20); ' +
      'consider data.sampling: balanced or training.class_weights: balanced',
  );
});

test.each<[string, readonly number[], boolean]>([
  ['ten times', [10, 100, 50], true],
  ['less than ten times', [10, 99, 50], false],
  ['a class without images does not count', [0, 99, 10], false],
  ['one class', [5], false],
])('%s', (_, counts, isReported) => {
  expect(imbalanceLine(phases(), images(...counts)) !== undefined).toBe(isReported);
});

test('not with a remedy in every phase', () => {
  const uneven = images(1, 100, 100);
  expect(imbalanceLine(phases({ sampling: 'balanced' }), uneven)).toBeUndefined();
  expect(imbalanceLine(phases({}, { class_weights: 'balanced' }), uneven)).toBeUndefined();
  expect(imbalanceLine(phases({}, { class_weights: [3, 1, 1] }), uneven)).toBeUndefined();
  expect(
    imbalanceLine(phases({}, {}, { phases: { FT: { class_weights: 'balanced' } } }), uneven),
  ).toBeDefined();
});

test.each([
  [
    { data: { format: 'folder', sampling: 'balanced', shuffle: false } },
    /data\.sampling: balanced and data\.shuffle: false/,
  ],
  [
    { training: { class_weights: [1, 2] } },
    /x\.yaml: PT: class_weights has 2 numbers, but the model has 3 classes/,
  ],
  [
    { training: { class_weights: 'balanced', loss: 'bce' } },
    /PT: class_weights and loss bce cannot be combined/,
  ],
  [{ training: { class_weights: 'even' } }, /training\.class_weights/],
])('%j is refused', (more, message) => {
  expect(() => phases({}, {}, more)).toThrow(message);
});
