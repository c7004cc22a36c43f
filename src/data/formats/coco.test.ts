import { copyFileSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { writeCoco } from '../../../test/coco.js';
import { InputError } from '../../base/errors.js';
import { coco, holdsCoco } from './coco.js';

let root: string;
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'coco-'));
  await writeCoco(root, { train: 2, val: 1 });
});
afterEach(() => rmSync(root, { recursive: true }));

const file = (part: string) => join(root, 'annotations', `instances_${part}2017.json`);

function edit(part: string, change: (content: Record<string, Record<string, unknown>[]>) => void): void {
  const content = JSON.parse(readFileSync(file(part), 'utf8'));
  change(content);
  writeFileSync(file(part), JSON.stringify(content));
}

test('labels are the categories in the order of their ids; images may be below images/', () => {
  const { train, val } = coco(root);
  expect([train.length, val.length]).toEqual([2, 1]);
  expect(train.classes).toEqual(['box', 'triangle', 'diamond, blue']);
  expect(train.categoryIds).toEqual([2, 7, 90]);
  renameSync(join(root, 'val2017'), join(root, 'images'));
  expect(() => coco(root)).toThrow('val2017 does not exist');
});

test('a file named annotations, or a folder without instances, is not COCO', () => {
  const other = mkdtempSync(join(tmpdir(), 'coco-'));
  writeFileSync(join(other, 'annotations'), 'text');
  expect(holdsCoco(other)).toBe(false);
  expect(holdsCoco(join(other, 'annotations'))).toBe(false);
  expect(holdsCoco(root)).toBe(true);
  rmSync(other, { recursive: true });
});

test('images without objects and small images are left out of training only, and counted', () => {
  const small = (content: Record<string, Record<string, unknown>[]>) => {
    content.images[0].width = 20;
  };
  edit('train', small);
  edit('val', ({ images }) => images.push({ ...images[0], id: 5 }));
  const { train, val } = coco(root);
  expect(train.length).toBe(1);
  expect(JSON.stringify(train.passedOver)).toContain('images with a side below 32 pixels');
  expect(val.length).toBe(2);
});

test.each<[string, () => void, string]>([
  [
    'two annotation files',
    () => copyFileSync(file('train'), file('train').replace('2017', '2014')),
    'more than one file',
  ],
  ['no annotation file', () => rmSync(file('val')), 'no file'],
  [
    'other categories',
    () =>
      edit('val', ({ categories }) => {
        categories[0].name = 'circle';
      }),
    'categories',
  ],
  [
    'a missing image',
    () =>
      edit('train', ({ images }) => {
        images[1].file_name = 'gone.png';
      }),
    'gone.png',
  ],
  [
    'an image below a file',
    () =>
      edit('train', ({ images }) => {
        images[1].file_name = `${images[0].file_name}/x.png`;
      }),
    'x.png',
  ],
  [
    'no objects',
    () =>
      edit('train', (content) => {
        content.annotations = [];
      }),
    'has no objects',
  ],
])('%s: an error with a hint', (_, change, message) => {
  change();
  expect(() => coco(root)).toThrow(InputError);
  expect(() => coco(root)).toThrow(
    expect.objectContaining({ message: expect.stringContaining(message), hint: expect.any(String) }),
  );
});
