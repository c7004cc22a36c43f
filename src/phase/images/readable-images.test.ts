import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeEach, describe, expect, test, vi } from 'vitest';
import { testFolder } from '../../../test/fixtures/data-fixture.js';
import { prepareRun } from '../../launch/prepare.js';
import { phaseOf } from '../../recipe/compile.js';
import { defineRecipe } from '../../recipe/recipe.js';
import type { RecipeInput } from '../../recipe/recipe-schema.js';
import { hasBegun, runFolder } from '../../run/run-folder.js';
import { requireReadableImages } from './readable-images.js';

const folder = testFolder();
const at = (name: string) => join(folder.path, name);
const runDir = () => at('run');

const recipe = (data: Partial<RecipeInput['data']> = {}) =>
  defineRecipe({
    name: 'x',
    model: { image_size: 64, patch_size: 16, classes: 2, width: 16, depth: 2, heads: 1 },
    incubation: { modules: 2 },
    training: { batch_size: 2 },
    data: { format: 'folder', path: at('data'), ...data },
  });

beforeEach(async () => {
  for (const [i, name] of ['train/a/0', 'train/b/0', 'val/a/0', 'val/a/1', 'val/b/0'].entries()) {
    const background = { r: 30 * i, g: 1, b: 2 };
    const image = sharp({ create: { width: 70, height: 66, channels: 3, background } });
    folder.write(`data/${name}.jpg`, await image.jpeg().toBuffer());
  }
});

async function checked(now = recipe()): Promise<number> {
  const onProgress = vi.fn();
  prepareRun(now, runDir());
  await requireReadableImages(phaseOf(now, 'FT'), runDir(), { onProgress });
  return onProgress.mock.calls.length;
}

describe('a damaged evaluation image', () => {
  test.each<[string, (file: string) => unknown, RegExp]>([
    ['cut off', (file) => truncateSync(file, statSync(file).size - 60), /truncated/],
    ['a web page', (file) => writeFileSync(file, '<!DOCTYPE html><html>'), /an HTML page/],
    ['empty', (file) => truncateSync(file, 0), /the file is empty/],
  ])('%s: named before anything is trained', async (_, damage, message) => {
    await damage(at('data/val/a/1.jpg'));
    const error = await checked().catch((reason) => reason);
    expect(error.message).toMatch(/^1 of the 3 evaluation images cannot be read: .*data\/val\/a\/1\.jpg/);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('fit the model');
    expect(error.hint).toContain('Restore the files or remove them.');
    expect(hasBegun(runDir())).toBe(false);
  });

  test('is ignored if it is not used', async () => {
    truncateSync(at('data/val/a/1.jpg'), 100);
    expect(await checked(recipe({ eval_images: 2 }))).toBe(2);
    await expect(checked()).rejects.toThrow(/1 of the 3 evaluation images/);
  });
});

describe('a readable evaluation image that does not fit the model', () => {
  const red = (width: number, height: number, name: string) =>
    sharp({ create: { width, height, channels: 3, background: 'red' } })
      .png()
      .toFile(at(name));
  const small = () => {
    const model = { image_size: 32, patch_size: 16, classes: 2, width: 16, depth: 2, heads: 1 };
    return defineRecipe({ ...recipe(), model } as RecipeInput);
  };

  test('of 1 x 20,000 pixels: the hint is that of the cause', async () => {
    await red(1, 20_000, 'data/val/a/1.png');
    const error = await checked().catch((reason) => reason);
    expect(error.message).toMatch(
      /^1 of the 4 evaluation images do not fit the model: .*a\/1\.png \(the image is 1 x 20000 pixels/,
    );
    expect(error.hint).toBe('An image with such an aspect ratio is probably damaged: remove it, or crop it.');
    expect(hasBegun(runDir())).toBe(false);
  });

  test('of another size than a small model takes', async () => {
    const error = await checked(small()).catch((reason) => reason);
    expect(error.message).toMatch(
      /^3 of the 3 evaluation images do not fit the model: .*\(the image is 70 x 66 pixels, but the model needs 32 x 32\)/,
    );
    expect(error.message).not.toContain('cannot be read');
    expect(error.message.match(/70 x 66/g), 'the common reason is named once').toHaveLength(1);
    expect(error.hint).toBe(
      'Images are not resized for models up to 32 pixels: use images of 32 x 32, or a model.image_size above 32.',
    );
  });

  test('together with an unreadable one: the message and hint cover both', async () => {
    await red(1, 20_000, 'data/val/a/2.png');
    truncateSync(at('data/val/a/1.jpg'), 100);
    const error = await checked().catch((reason) => reason);
    expect(error.message).toMatch(
      /^1 of the 4 evaluation images cannot be read: [^;]*a\/1\.jpg[^;]*; 1 of the 4 evaluation images do not fit the model: .*a\/2\.png/,
    );
    expect(error.hint).toMatch(/^Restore the files or remove them\. .* An image with such an aspect ratio/);
  });
});

describe('what was checked', () => {
  test('is recorded in the run folder until the images or their decoding changes', async () => {
    expect([await checked(), await checked()]).toEqual([3, 0]);
    expect(await checked(recipe({ exif: 'apply' }))).toBe(3);
    folder.write('data/val/b/1.jpg', readFileSync(at('data/val/b/0.jpg')));
    expect(await checked(recipe({ exif: 'apply' }))).toBe(4);
    writeFileSync(runFolder(runDir()).readable, '{');
    expect(await checked(recipe({ exif: 'apply' }))).toBe(4);
  });

  test('is not recorded if an image was damaged', async () => {
    const whole = readFileSync(at('data/val/a/1.jpg'));
    folder.write(
      'data/val/a/1.jpg',
      Buffer.concat([whole.subarray(0, 300), Buffer.alloc(whole.length - 300)]),
    );
    truncateSync(at('data/val/a/1.jpg'), 300);
    await expect(checked()).rejects.toThrow(/cannot be read/);
    folder.write('data/val/a/1.jpg', whole);
    expect(await checked()).toBe(3);
  });

  test('images in memory need no check', async () => {
    rmSync(at('data'), { recursive: true });
    mkdirSync(at('data'));
    const records = Buffer.alloc(4 * 3073);
    for (let i = 1; i <= 5; i++) folder.write(`data/data_batch_${i}.bin`, records);
    folder.write('data/test_batch.bin', records);
    const model = { image_size: 32, patch_size: 8, classes: 10, width: 16, depth: 2, heads: 1 };
    const input = { name: 'x', model, incubation: { modules: 2 }, training: { batch_size: 2 } };
    expect(await checked(defineRecipe({ ...input, data: { format: 'cifar-10', path: at('data') } }))).toBe(0);
  });
});
