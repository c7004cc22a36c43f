import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { Dataset } from '../dataset.js';
import type { DataPlace } from './identity.js';
import { dataIdentity, imageList } from './identity.js';
import { dataDifference, type KnownData } from './identity-difference.js';

/** Pixels in memory, as IDX files have them. */
function pixels(labels: readonly number[], value = (i: number) => i): Dataset {
  return {
    length: labels.length,
    classes: ['a', 'b'],
    label: (i) => labels[i],
    describe: (i) => `/data/train-images.gz, image ${i}`,
    source: (i) => ({ width: 2, height: 1, channels: 1, data: Uint8Array.of(value(i), 0) }),
  };
}

/** Entries of shards. */
function entries(root: string, sizes: Readonly<Record<string, number>>): Dataset {
  const names = Object.keys(sizes);
  return {
    length: names.length,
    classes: ['a', 'b'],
    label: (i) => i % 2,
    describe: (i) => `${root}/train-0.tar: ${names[i]}`,
    source: (i) => ({ file: `${root}/train-0.tar`, start: 0, bytes: sizes[names[i]] }),
  };
}

const idx: DataPlace = { format: 'fashion-mnist', path: '/data' };
const known = (train: Dataset, place: DataPlace) => ({
  identity: dataIdentity({ train, val: pixels([0]) }, place),
  list: (split: string) => (split === 'train' ? imageList(train, place) : imageList(pixels([0]), place)),
});
const changes = (before: KnownData, now: KnownData) => dataDifference(before, now).changes;

test('images in memory: other pixels, other labels and more images are detected', () => {
  const before = known(pixels([0, 1, 0]), idx);
  expect(changes(before, known(pixels([0, 1, 0]), { ...idx, path: '/elsewhere' }))).toEqual([]);
  expect(
    changes(
      before,
      known(
        pixels([0, 1, 0], (i) => i * 3),
        idx,
      ),
    ),
  ).toEqual(['train: other pixels']);
  expect(changes(before, known(pixels([0, 1, 1]), idx))).toEqual([
    'train: 1 of another class: image 2 ("b" instead of "a")',
  ]);
  expect(changes(before, known(pixels([0, 1, 0, 0]), idx))).toEqual([
    'train: 4 images instead of 3; 1 more: image 3',
  ]);
});

test('entries of shards: names, sizes and order count, the folder does not', () => {
  const place = (path: string): DataPlace => ({ format: 'shards', path });
  const before = known(entries('/a', { x: 5, y: 6 }), place('/a'));
  expect(changes(before, known(entries('/b/c', { x: 5, y: 6 }), place('/b/c')))).toEqual([]);
  expect(changes(before, known(entries('/a', { x: 5, y: 7 }), place('/a')))).toEqual([
    'train: 1 of another size: train-0.tar: y (7 bytes instead of 6)',
  ]);
  expect(changes(before, known(entries('/a', { x: 5, z: 6 }), place('/a')))).toEqual([
    'train: 1 more: train-0.tar: z; 1 gone: train-0.tar: y',
  ]);
});

test('the list is text, one image a line; without it the classes with other numbers are named', () => {
  const train = pixels([0, 1, 0]);
  expect(gunzipSync(imageList(train, idx)).toString()).toBe('2\ta\timage 0\n2\tb\timage 1\n2\ta\timage 2\n');
  const unlisted = (dataset: Dataset) => ({ ...known(dataset, idx), list: () => undefined });
  expect(changes(unlisted(train), unlisted(pixels([0, 1])))).toEqual([
    'train: 2 images instead of 3: "a" 1 instead of 2',
  ]);
});

test('names in another Unicode normalisation are the same', () => {
  const named = (name: string): Dataset => ({ ...pixels([0]), classes: [name, 'b'] });
  expect(changes(known(named('caf\u00e9'), idx), known(named('cafe\u0301'), idx))).toEqual([]);
});

test.each([
  ['unpacks to far more than its images', gzipSync(Buffer.alloc(2 ** 26, 'a'))],
  ['is not compressed', Buffer.from('2\ta\timage 0\n')],
  ['is cut off', imageList(pixels([0, 1, 0]), idx).subarray(0, 25)],
  ['has other lines', gzipSync('2 a image\n')],
  ['lacks its last line feed', gzipSync('2\ta\timage 0')],
])('a list that %s is ignored', (_, list) => {
  const before = { ...known(pixels([0, 1, 0]), idx), list: () => list };
  expect(changes(before, known(pixels([0, 1]), idx))).toEqual([
    'train: 2 images instead of 3: "a" 1 instead of 2',
  ]);
});
