import { describe, expect, test } from 'vitest';
import { failure } from '../../test/fixtures/data-fixture.js';
import type { Dataset } from '../data/dataset.js';
import type { Images } from './images/images.js';
import { phaseLabels, requireSameLabels, requireTeachersLabels, type StartLabels } from './phase-labels.js';

/** One image of each class. */
function dataset(classes: readonly string[], isUnnamed = false): Dataset {
  return {
    length: classes.length,
    classes,
    isUnnamed,
    label: (i) => i,
    describe: String,
    source: () => ({ file: '' }),
  };
}

const imagesOf = (classes: readonly string[], isUnnamed?: boolean) =>
  ({ train: dataset(classes, isUnnamed), val: dataset(classes, isUnnamed) }) as unknown as Images;

const start = (names: readonly string[] | undefined, isOfRun: boolean, isOurs = true): StartLabels => ({
  name: 'PT',
  classes: names && { names, from: 'PT', isOurs },
  isOfRun,
});

const labels = ({ train, val }: Images) =>
  [train, val].map((part) => Array.from({ length: part.length }, (_, i) => part.label(i)));

describe('labels of the weights that a phase starts from', () => {
  test.each([true, false])('are mapped by name in both parts, from the run itself: %s', (isOfRun) => {
    const { images, notes } = phaseLabels(
      imagesOf(['ant', 'bee', 'cat']),
      start(['cat', 'ant', 'bee'], isOfRun),
    );
    expect(labels(images)).toEqual([
      [1, 2, 0],
      [1, 2, 0],
    ]);
    expect(images.train.classes).toEqual(['cat', 'ant', 'bee']);
    expect(notes).toEqual(['labels are those of PT: 0 = cat, 1 = ant, 2 = bee']);
  });

  test('do not change images that have them, or name no classes', () => {
    const numbers = imagesOf(['0', '1'], true);
    for (const images of [imagesOf(['a', 'b']), numbers]) {
      expect(phaseLabels(images, start(['a', 'b'], false)).images).toBe(images);
      expect(phaseLabels(images, start(['a', 'b'], true))).toEqual({ images, notes: [] });
      expect(phaseLabels(images, undefined)).toEqual({ images, notes: [] });
    }
    expect(phaseLabels(imagesOf(['a', 'b']), start(['a', 'b'], false)).notes).toEqual([]);
    expect(phaseLabels(numbers, start(['a', 'b'], false)).notes).toEqual([
      'assumed: the numeric labels of the images are those of PT: 0 = a, 1 = b',
    ]);
    expect(phaseLabels(numbers, start(['0', '1'], false)).notes).toEqual([]);
    expect(phaseLabels(imagesOf(['b', 'a']), start(['b', 'a'], false)).notes).toEqual([
      'labels are those of PT: 0 = b, 1 = a',
    ]);
  });

  test('of foreign weights are refused if a class is missing in them', () => {
    const { message, hint } = failure(() =>
      phaseLabels(imagesOf(['ant', 'dog']), start(['ant', 'bee'], false)),
    );
    expect(message).toBe('dog: unknown class name');
    expect(hint).toContain('start.head to new');
  });

  test('of the run are kept if a renamed class was accepted', () => {
    const images = imagesOf(['ant', 'dog']);
    expect(phaseLabels(images, start(['ant', 'bee'], true))).toEqual({ images, notes: [] });
  });

  test('are assumed, with a message, if foreign weights have no names, or words for ids', () => {
    const none = phaseLabels(imagesOf(['a', 'b']), start(undefined, false));
    expect(none.notes[0]).toBe(
      'assumed: labels follow the order of the classes: 0 = a, 1 = b (PT does not name its classes)',
    );
    expect(phaseLabels(imagesOf(['a', 'b']), start(undefined, true)).notes).toEqual([]);
    const images = imagesOf(['n01440764', 'n01443537']);
    const words = phaseLabels(images, start(['tench', 'goldfish'], false, false));
    expect(words.images).toBe(images);
    expect(words.notes[0]).toMatch(/^assumed: .*0 = n01440764, 1 = n01443537/);
  });
});

describe('a teacher', () => {
  const teach = (images: Dataset, names: readonly string[] | undefined, isOurs = true) =>
    requireTeachersLabels(images, { ...start(names, false, isOurs), name: 'distill.teacher T' });

  test('with the labels of the images, or without names, teaches', () => {
    expect(teach(dataset(['a', 'b']), ['a', 'b'])).toEqual([]);
    expect(teach(dataset(['a', 'b']), undefined)).toEqual([]);
    expect(teach(dataset(['0', '1'], true), ['a', 'b'])).toEqual([]);
    const ids = teach(dataset(['n01440764', 'n01443537']), ['tench', 'goldfish'], false);
    expect(ids[0]).toMatch(/^assumed: /);
  });

  test('with other labels is refused', () => {
    expect(failure(() => teach(dataset(['a', 'b']), ['b', 'a'])).message).toBe(
      'distill.teacher T has the classes in another order: class 0 is b there and a in the images',
    );
    const { message, hint } = failure(() => teach(dataset(['a', 'b']), ['a', 'x']));
    expect(message).toBe('b: unknown class name');
    expect(hint).toContain('Use a teacher');
    expect(failure(() => teach(dataset(['a', 'b']), ['a', 'x'], false)).message).toBe(message);
  });
});

test('modules with other labels are not assembled', () => {
  const all = [start(['a', 'b'], true), start(undefined, true), start(['a', 'b'], true)];
  expect(() => requireSameLabels(all)).not.toThrow();
  const other = { ...start(['b', 'a'], true), name: 'MT/1' };
  expect(failure(() => requireSameLabels([...all, other])).message).toBe(
    'PT and MT/1 were trained with other labels: class 0 is a and b',
  );
});
