import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { failure, fixture, indicesOf, testFolder } from '../../../test/fixtures/data-fixture.js';
import type { Category } from './formats.js';
import { inaturalist } from './inaturalist.js';

const folder = testFolder();
const { categories, files, labels } = fixture.inaturalist;

beforeEach(() => {
  folder.write('categories.json', JSON.stringify(categories));
  for (const [split, content] of Object.entries(files)) {
    folder.write(`${split}2018.json`, JSON.stringify(content));
    folder.write(content.images[0].file_name, 'x');
  }
});

const open = (category?: Category) => inaturalist(folder.path, { year: 2018, category });

describe.each(Object.entries(labels))('by %s', (category, expected) => {
  test.each(['train', 'val'] as const)("%s: DeiT's classes and labels", (split) => {
    const dataset = open(category as Category)[split];
    expect(dataset.classes).toEqual(expected.classes);
    expect(indicesOf(dataset).map((i) => dataset.label(i))).toEqual(expected[split]);
  });
});

test('classes by name; images at the paths in the JSON', () => {
  const { train, val } = open();
  expect(train.classes).toEqual(labels.name.classes);
  expect(val.source(2)).toEqual({ file: join(folder.path, files.val.images[2].file_name) });
  expect(val.describe(2)).toBe(join(folder.path, files.val.images[2].file_name));
});

test("images as DeiT has them, without the group's folder", () => {
  const without = (name: string) => name.replace(/^(\w+)\/[^/]+\//, '$1/');
  const [{ file_name: first }, { file_name: second }] = files.val.images;
  const moved = join(folder.path, 'elsewhere');
  for (const [split, content] of Object.entries(files)) {
    folder.write(`elsewhere/${split}2019.json`, JSON.stringify(content));
    folder.write(`elsewhere/${without(content.images[0].file_name)}`, 'x');
  }
  folder.write('elsewhere/categories.json', JSON.stringify(categories));
  const { val } = inaturalist(moved, { year: 2019 });
  expect(val.describe(0)).toBe(join(moved, without(first)));
  expect(val.describe(1)).toBe(join(moved, without(second)));
});

test('categories without ids are counted', () => {
  const bare = categories.map((category) => ({ ...(category as object), id: undefined }));
  folder.write('categories.json', JSON.stringify(bare));
  expect(open().val.classes).toEqual(labels.name.classes);
});

describe('refused, naming the file', () => {
  type Content = Record<string, unknown> & { annotations: { image_id: number; category_id: number }[] };
  const changed = (split: 'train' | 'val', change: (content: Content) => object) =>
    folder.write(
      `${split}2018.json`,
      JSON.stringify(change(structuredClone(files[split]) as unknown as Content)),
    );

  test.each<[string, () => unknown, RegExp]>([
    [
      'another year',
      () => inaturalist(folder.path, { year: 2019 }),
      /train2019\.json: cannot be read as JSON/,
    ],
    ['no JSON', () => folder.write('val2018.json', '{"images": ['), /val2018\.json: cannot be read as JSON/],
    ['other JSON', () => folder.write('val2018.json', '[]'), /val2018\.json at its top: /],
    ['no images', () => changed('val', (each) => ({ ...each, images: [] })), /val2018\.json at images: /],
    [
      'an image without a name',
      () => changed('val', (each) => ({ ...each, images: [{ id: 100 }] })),
      /val2018\.json at images\.0\.file_name: /,
    ],
    [
      'an image without an annotation',
      () => changed('val', (each) => ({ ...each, annotations: each.annotations.slice(1) })),
      /val2018\.json has no annotation of image 100/,
    ],
    [
      'an unknown species',
      () => changed('train', (each) => ({ ...each, annotations: [{ image_id: 0, category_id: 99 }] })),
      /categories\.json has no category 99/,
    ],
    [
      'a species that train lacks',
      () =>
        changed('train', (each) => ({
          ...each,
          images: [{ id: 0, file_name: files.train.images[0].file_name }],
          annotations: [{ image_id: 0, category_id: 0 }],
        })),
      /val2018\.json has images of category \d \(Species \d\), which train does not have/,
    ],
    [
      'missing images',
      () => changed('val', (each) => ({ ...each, images: [{ id: 100, file_name: 'a/b/c/d.jpg' }] })),
      /a\/b\/c\/d\.jpg not found \(listed in .*val2018\.json\)/,
    ],
    [
      'categories of another kind',
      () => folder.write('categories.json', '[{"id": 0}]'),
      /categories\.json at 0\.name: /,
    ],
  ])('%s', (_, damage, message) => {
    const error = failure(() => {
      damage();
      open();
    });
    expect(error.message).toMatch(message);
    expect(error.hint).toBeTruthy();
  });

  test('images outside the folder', () => {
    const { images } = files.val;
    const outside = { ...images[1], file_name: '../secret.jpg' };
    changed('val', (each) => ({ ...each, images: [images[0], outside] }));
    expect(failure(() => open()).message).toMatch(/names an image outside its folder: \.\.\/secret\.jpg/);
  });
});
