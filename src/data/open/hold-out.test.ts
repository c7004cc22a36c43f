import { cpSync, mkdirSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { tarOf, testFolder } from '../../../test/fixtures/data-fixture.js';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../dataset.js';
import { heldOutPerClass } from './hold-out.js';
import { dataIdentity } from './identity.js';
import { openDataset } from './open-dataset.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);

/** Writes `count` empty files into each class of a folder. */
function write(root: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, count] of Object.entries(counts)) {
    for (let i = 0; i < count; i++) folder.write(`${root}/${name}/${String(i).padStart(3, '0')}.jpg`, '');
  }
}

const names = (dataset: Dataset, root: string) =>
  Array.from({ length: dataset.length }, (_, i) => dataset.describe(i).slice(at(root).length + 1));

const opened = (root: string, split = { val: 0.25, seed: 0 }) =>
  openDataset({ format: 'folder', path: at(root), split });

describe('the number of held-out images of each class', () => {
  test.each<[string, readonly number[], number, readonly number[]]>([
    ['in proportion', [100, 200, 700], 100, [10, 20, 70]],
    ['the sum is exact', [33, 33, 34], 10, [3, 3, 4]],
    ['a small class gives one', [1000, 3], 10, [9, 1]],
    ['a class of one image keeps it', [10, 1], 5, [5, 0]],
    ['an empty class gives none', [10, 0, 10], 4, [2, 0, 2]],
    ['fewer images than classes', [5, 9, 5, 9], 2, [0, 1, 0, 1]],
    ['every class keeps an image', [2, 2, 2], 3, [1, 1, 1]],
  ])('%s', (_, sizes, total, expected) => {
    expect(heldOutPerClass(sizes, total)).toEqual(expected);
  });

  test('too many are refused, with the largest possible number', () => {
    const attempt = () => heldOutPerClass([10, 1, 5], 14);
    expect(attempt).toThrow(InputError);
    expect(attempt).toThrow(/hold out 14 of 16 training images/);
    expect(catchHint(attempt)).toBe('Set data.split.val to at most 13.');
    expect(catchHint(() => heldOutPerClass([1, 1], 1))).toBe('Use more images.');
  });
});

function catchHint(attempt: () => unknown): string | undefined {
  try {
    attempt();
  } catch (error) {
    return (error as InputError).hint;
  }
  return undefined;
}

describe('the images of a folder', () => {
  beforeEach(() => write('data', { ant: 40, bee: 20, cat: 4 }));

  test('are divided by class, without overlap', () => {
    const { train, val } = opened('data');
    const perClass = (dataset: Dataset) =>
      dataset.classes.map(
        (_, label) =>
          Array.from({ length: dataset.length }, (_, i) => dataset.label(i)).filter((each) => each === label)
            .length,
      );
    expect([perClass(train), perClass(val)]).toEqual([
      [30, 15, 3],
      [10, 5, 1],
    ]);
    expect(new Set([...names(train, 'data'), ...names(val, 'data')]).size).toBe(64);
    expect(val.classes).toEqual(train.classes);
  });

  test('are always the same, and differ with another seed', () => {
    const chosen = names(opened('data').val, 'data');
    expect(names(opened('data').val, 'data')).toEqual(chosen);
    expect(names(opened('data', { val: 16, seed: 0 }).val, 'data')).toEqual(chosen);
    expect(names(opened('data', { val: 0.25, seed: 1 }).val, 'data')).not.toEqual(chosen);
  });

  test('a larger part contains a smaller one', () => {
    const small = names(opened('data', { val: 8, seed: 0 }).val, 'data');
    const large = names(opened('data', { val: 30, seed: 0 }).val, 'data');
    expect(large).toEqual(expect.arrayContaining(small));
  });

  test('do not depend on the place, the name of the training part, or the order of the classes', () => {
    const chosen = names(opened('data').val, 'data');
    mkdirSync(at('other'));
    cpSync(at('data'), at('other/training'), { recursive: true });
    const moved = opened('other');
    expect(names(moved.val, 'other/training')).toEqual(chosen);
    const path = at('data');
    const classes = ['cat', 'ant', 'bee'];
    const reordered = openDataset({ format: 'folder', path, classes, split: { val: 0.25 } });
    expect(names(reordered.val, 'data')).toEqual(chosen);
    expect(reordered.val.classes).toEqual(classes);
  });

  test('stay the same for other classes if images are added to one', () => {
    const chosen = names(opened('data').val, 'data');
    write('data', { bee: 24 });
    const now = names(opened('data').val, 'data');
    const without = (all: readonly string[]) => all.filter((name) => !name.startsWith('bee'));
    expect(without(now)).toEqual(without(chosen));
    const held = chosen.filter((name) => name.startsWith('bee') && now.includes(name));
    expect(held.length).toBeGreaterThanOrEqual(4);
  });

  test('replace the validation part, which is named in a message', () => {
    write('divided/val', { ant: 3 });
    renameSync(at('data'), at('divided/train'));
    const { val, unread } = opened('divided');
    expect(names(val, 'divided').every((name) => name.startsWith('train/'))).toBe(true);
    expect(unread).toBe(at('divided/val'));
    expect(val.length).toBe(16);
  });

  test('are recorded under names with their class', () => {
    const place = { format: 'folder', path: at('data') } as const;
    const pair = opened('data');
    expect(dataIdentity(pair, place).val.images).toBe(16);
    renameSync(at('data/cat'), at('data/cow'));
    expect(dataIdentity(opened('data'), place).val.digest).not.toBe(dataIdentity(pair, place).val.digest);
  });
});

test('without a part named train, a divided folder is refused', () => {
  write('data/val', { ant: 3 });
  expect(() => opened('data')).toThrow(/no folder named train or training: it has val$/);
});

test.each([
  ['no parts', { 'ant/0.jpg': '', 'bee/0.jpg': '' }],
  ['only train', { 'train/ant/0.jpg': '', 'train/bee/0.jpg': '' }],
])('without a split, the hint for a folder with %s names data.split', (_, files) => {
  for (const [name, content] of Object.entries(files)) folder.write(`data/${name}`, content);
  expect(catchHint(() => openDataset({ format: 'folder', path: at('data') }))).toContain(
    '`data.split: { val: 0.1 }`',
  );
});

describe('other formats', () => {
  const shardOf = (count: number) =>
    tarOf(
      ...Array.from({ length: count }, (_, i): [string, string][] => [
        [`${i}.jpg`, 'x'],
        [`${i}.cls`, String(i % 2)],
      ]).flat(),
    );

  test.each([
    ['train-0.tar', 'val-0.tar'],
    ['a.tar', undefined],
  ])('shards: %s is divided, %s is not read', (train, own) => {
    folder.write(`shards/${train}`, shardOf(20));
    if (own !== undefined) folder.write(`shards/${own}`, shardOf(2));
    const pair = openDataset({ format: 'shards', path: at('shards'), split: { val: 4 } });
    expect([pair.train.length, pair.val.length]).toEqual([16, 4]);
    expect(pair.unread).toBe(own && at(`shards/${own}`));
    expect(catchHint(() => openDataset({ format: 'shards', path: at('none') }))).toBeDefined();
  });

  test('CIFAR-10: the test images are not read, not even if they are missing', () => {
    const batch = Buffer.alloc(20 * 3073);
    for (let i = 0; i < 20; i++) batch[i * 3073] = i % 10;
    for (let i = 1; i <= 5; i++) folder.write(`cifar/data_batch_${i}.bin`, batch);
    const pair = openDataset({ format: 'cifar-10', path: at('cifar'), split: { val: 0.1 } });
    expect([pair.train.length, pair.val.length, pair.unread]).toEqual([90, 10, 'the test images']);
    expect(Array.from({ length: 10 }, (_, i) => pair.val.label(i)).sort()).toEqual([
      0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
    ]);
  });
});
