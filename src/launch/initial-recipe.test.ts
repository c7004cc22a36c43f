import { join } from 'node:path';
import sharp from 'sharp';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { testFolder } from '../../test/fixtures/data-fixture.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { type FoundImages, findImages, imageSizeFor, initialRecipe } from './initial-recipe.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);

const square = (...sides: number[]) => sides.map((side) => ({ width: side, height: side }));

test.each<[string, FoundImages['sizes'], number]>([
  ['all 28 px: not resized', square(28, 28), 28],
  ['all 32 px: not resized', square(32, 32, 32), 32],
  ['30 px is not a multiple of the patch', square(30, 30), 40],
  ['small and unequal: resized', square(28, 32), 40],
  ['the median of the shorter sides', [{ width: 500, height: 70 }, ...square(100, 300)], 96],
  ['large ones', square(500, 500, 1000), 224],
  ['none can be read', [], 224],
])('image size: %s', (_, sizes, expected) => expect(imageSizeFor(sizes)).toBe(expected));

describe('the recipe', () => {
  const found: FoundImages = {
    format: 'folder',
    path: 'data/a "b": #c',
    isSplit: true,
    classes: ['x', 'y'],
    trainImages: 90,
    valImages: 10,
    perClass: [30, 60],
    channels: 3,
    sizes: square(80),
  };

  test.each([10, 90, 9999, 50_000, 1_300_000])(
    'is valid for %i images, whatever their path',
    (trainImages) => {
      const recipe = checkedRecipe(parse(initialRecipe({ ...found, trainImages })), 'x');
      expect(recipe.data).toMatchObject({ path: found.path, split: { val: 0.1, seed: 0 } });
      expect(recipe.model).toMatchObject({ image_size: 64, patch_size: 8, classes: 2 });
      expect(recipe.training.batch_size).toBeLessThanOrEqual(trainImages);
    },
  );

  test('a larger data set gets a larger model', () => {
    const widthOf = (trainImages: number) => parse(initialRecipe({ ...found, trainImages })).model.width;
    expect([9000, 90_000, 900_000].map(widthOf)).toEqual([96, 192, 384]);
  });

  test('without a split if there is a validation part; imbalance is named', () => {
    const text = initialRecipe({ ...found, isSplit: false, perClass: [5, 51] });
    expect(parse(text).data.split).toBe(undefined);
    expect(text).toContain('strongly imbalanced');
    expect(initialRecipe(found)).not.toContain('imbalanced');
  });

  test('grey images have one channel', () => {
    const recipe = checkedRecipe(parse(initialRecipe({ ...found, channels: 1, sizes: square(28) })), 'x');
    expect([recipe.model.channels, recipe.data.mean]).toEqual([1, [0.286]]);
  });
});

test('what is found: classes, counts, sizes; damaged images are left out of the sizes', async () => {
  for (const [name, count] of Object.entries({ ant: 9, bee: 4 })) {
    const image = await sharp({ create: { width: 70, height: 66, channels: 3, background: 'red' } })
      .png()
      .toBuffer();
    for (let i = 0; i < count; i++) folder.write(`data/${name}/${i}.png`, i === 0 ? 'damaged' : image);
  }
  const found = await findImages(at('data'));
  expect(found).toMatchObject({
    format: 'folder',
    isSplit: true,
    classes: ['ant', 'bee'],
    trainImages: 12,
    valImages: 1,
  });
  expect(new Set(found.sizes.map(({ width, height }) => `${width}x${height}`))).toEqual(new Set(['70x66']));
});
