import { describe, expect, test } from 'vitest';
import { failure } from '../../test/fixtures/data-fixture.js';
import type { Dataset } from './dataset.js';
import { type ModelClasses, withModelLabels } from './model-labels.js';

/** One image of each class that is given a label. */
function dataset(classes: readonly string[], labels = classes.map((_, i) => i), isUnnamed = false): Dataset {
  return {
    length: labels.length,
    classes,
    isUnnamed,
    label: (i) => labels[i],
    describe: String,
    source: () => ({ file: '' }),
  };
}

function labelled(images: Dataset, model: ModelClasses) {
  const { dataset: found, assumptions, missing } = withModelLabels(images, model, 'images/val');
  const labels = Array.from({ length: found.length }, (_, i) => found.label(i));
  return { labels, assumptions, missing, classes: found.classes };
}

const named = (names: readonly string[], isCertain = true) => ({
  count: names.length,
  named: { names, from: 'runs/x/FT' },
  isCertain,
});
const ANIMALS = ['001.ant', '002.bee', '003.cat'];

describe('by name', () => {
  test.each([
    ['the last', ['001.ant', '002.bee'], [0, 1], ['003.cat']],
    ['the first', ['002.bee', '003.cat'], [1, 2], ['001.ant']],
    ['the middle', ['001.ant', '003.cat'], [0, 2], ['002.bee']],
    ['all but one', ['003.cat'], [2], ['001.ant', '002.bee']],
    ['none, in another order', ['003.cat', '001.ant', '002.bee'], [2, 0, 1], []],
  ])('%s of the classes may be missing', (_, classes, labels, missing) => {
    expect(labelled(dataset(classes), named(ANIMALS))).toEqual({
      labels,
      missing,
      assumptions: [],
      classes: ANIMALS,
    });
  });

  test('numbers as well as words', () => {
    const names = Array.from({ length: 12 }, (_, i) => String(i)).sort();
    expect(labelled(dataset(['10', '2']), named(names)).labels).toEqual([2, 4]);
    expect(labelled(dataset(['10', '2']), named(names, false)).labels).toEqual([2, 4]);
  });

  test('in any Unicode normalisation', () => {
    const names = ['f', '\u00e9', 'o\u0308'];
    expect(labelled(dataset(['e\u0301', '\u00f6']), named(names)).labels).toEqual([1, 2]);
  });

  test('only classes with images count', () => {
    const images = dataset(['ant', 'bee', 'unknown'], [1, 0, 1]);
    expect(labelled(images, named(['bee', 'ant'])).labels).toEqual([0, 1, 0]);
  });

  test('unknown ones are listed, with what to do', () => {
    const images = dataset(['001.ant', 'dog', '003.Cat']);
    const { message, hint } = failure(() => labelled(images, named(ANIMALS)));
    expect(message).toBe('dog, 003.Cat: unknown class names');
    expect(hint).toContain('The 3 classes of runs/x/FT are: 001.ant, 002.bee, 003.cat.');
    expect(hint).toContain('Class names are case-sensitive (003.Cat and 003.cat)');
    expect(hint).toContain('name it with --classes');
    for (const isCertain of [true, false]) {
      const all = failure(() => labelled(dataset(['x', 'y', 'z']), named(ANIMALS, isCertain)));
      expect(all.message).toBe('x, y, z: unknown class names');
    }
  });

  test('a name of two classes is refused unless the lists are identical', () => {
    const names = ['crane', 'maillot', 'crane'];
    expect(labelled(dataset(names), named(names)).labels).toEqual([0, 1, 2]);
    expect(failure(() => labelled(dataset(['crane']), named(names))).message).toBe(
      'crane: in runs/x/FT, the classes 0 and 2 have the same name',
    );
    expect(labelled(dataset(['maillot']), named(names)).labels).toEqual([1]);
  });
});

describe('without names', () => {
  test('the order of the classes is assumed, with a message', () => {
    const { labels, assumptions, classes } = labelled(dataset(ANIMALS), { count: 3 });
    expect({ labels, classes }).toEqual({ labels: [0, 1, 2], classes: ANIMALS });
    expect(assumptions).toEqual([
      'labels follow the classes of images/val: 0 = 001.ant, 1 = 002.bee, 2 = 003.cat ' +
        '(the checkpoint does not name its classes)',
    ]);
  });

  test('numbers are sorted as text, with a message if it matters', () => {
    const of = (count: number) => {
      const names = Array.from({ length: count }, (_, i) => String(i)).sort();
      return labelled(dataset(names), { count }).assumptions[0];
    };
    expect(of(12)).toContain('sorted as text: 0 = 0, 1 = 1, 2 = 10, 3 = 11, 4 = 2, ..., 11 = 9');
    expect(of(10)).not.toContain('sorted as text');
  });

  test.each([2, 4])('%d classes of a model for the 3 of the images are refused', (count) => {
    const { message, hint } = failure(() => labelled(dataset(ANIMALS), { count }));
    expect(message).toContain(`images/val has 3 classes, but the model has ${count}`);
    expect(hint).toContain('--classes number');
  });

  test('WordNet ids map to names in words by order, if their numbers are equal', () => {
    const words = named(['tench, Tinca tinca', 'goldfish', 'great white shark'], false);
    const ids = ['n01440764', 'n01443537', 'n01484850'];
    const { labels, assumptions, classes } = labelled(dataset(ids), words);
    expect({ labels, classes }).toEqual({ labels: [0, 1, 2], classes: words.named.names });
    expect(assumptions[0]).toContain('0 = n01440764, 1 = n01443537, 2 = n01484850');
    expect(assumptions[0]).toContain('runs/x/FT has other names: tench, Tinca tinca');
    const refused = (images: Dataset, model: ModelClasses) => failure(() => labelled(images, model)).message;
    expect(refused(dataset(ids.slice(1)), words)).toContain('unknown class names');
    expect(refused(dataset(ids), { ...words, isCertain: true })).toContain('unknown class names');
    expect(refused(dataset(ids), named([...ids].reverse().slice(1), false))).toContain(
      'n01484850: unknown class',
    );
  });

  test('numeric labels are the model’s labels, with a message if the model has names', () => {
    const images = dataset(['0', '1', '2'], [2, 0], true);
    expect(labelled(images, { count: 3 })).toMatchObject({ labels: [2, 0], assumptions: [] });
    const { labels, assumptions, missing } = labelled(images, named(ANIMALS));
    expect({ labels, missing }).toEqual({ labels: [2, 0], missing: ['002.bee'] });
    expect(assumptions[0]).toContain('0 = 001.ant, 1 = 002.bee, 2 = 003.cat');
  });
});

describe('by number', () => {
  const labelsOf = (classes: readonly string[], count: number) =>
    labelled(dataset(classes), { count, byNumber: true }).labels;

  test('with the number before the name', () => {
    expect(labelsOf(['0_tshirt', '10', '9_boot'], 11)).toEqual([0, 10, 9]);
  });

  test.each([
    ['boot', ['0_tshirt', 'boot'], 'boot does not begin with a label below 10'],
    ['3d', ['3d'], '3d does not begin with a label below 10'],
    ['-1', ['-1'], '-1 does not begin'],
    ['10', ['10'], '10 does not begin'],
    ['two with the same name', ['1_a', '1_b'], 'folders 1_a and 1_b both have label 1'],
  ])('%s is refused', (_, classes, message) => {
    expect(failure(() => labelsOf(classes, 10)).message).toContain(message);
  });
});
