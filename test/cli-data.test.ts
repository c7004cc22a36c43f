import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { beforeAll, describe, expect, test } from 'vitest';
import { cli, temporaryFolder } from './cli-support.js';
import { goldenPath } from './support.js';

const folder = temporaryFolder();
const images = readdirSync(goldenPath('png'));
const model = ['--set', 'model.heads=4', '--json'];
const evaluate = async (data: string, ...args: string[]) =>
  cli(['eval', goldenPath('ckpt/FT.pth'), ...model, `--data=${data}`, ...args], { env: { HOME: folder } });
const scores = async (...args: Parameters<typeof evaluate>) => {
  const { code, stdout, stderr } = await evaluate(...args);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.not.stringContaining('rror') });
  const { images: count, top1, loss } = JSON.parse(stdout);
  return { count, top1, loss };
};

let expected: Awaited<ReturnType<typeof scores>>;
beforeAll(async () => {
  expected = await scores(goldenPath('png'));
});

/** The images of the golden run in other formats. */
async function written(
  name: string,
  write: (file: string, png: Buffer) => void | Promise<void>,
): Promise<string> {
  const target = join(folder, name);
  mkdirSync(target, { recursive: true });
  for (const image of images) {
    await write(join(target, image.replace(/\.png$/, '')), readFileSync(goldenPath(`png/${image}`)));
  }
  return target;
}

describe('eval gives the same images the same scores', () => {
  test.each(['webp', 'tiff', 'gif'] as const)('as %s', async (format) => {
    const options = { webp: { lossless: true }, tiff: { compression: 'lzw' }, gif: { dither: 0 } } as const;
    const data = await written(format, async (file, png) => {
      await sharp(png).toFormat(format, options[format]).toFile(`${file}.${format}`);
    });
    expect(await scores(data)).toEqual(expected);
  });

  test('as PNG under .jpg, .jfif and .jpe: by their content', async () => {
    const data = await written('names', (file, png) => {
      const extension = ['jpg', 'jfif', 'jpe', 'JPEG'][file.length % 4];
      writeFileSync(`${file}.${extension}`, png);
    });
    expect(await scores(data)).toEqual(expected);
    const { stdout, code } = await cli(['data', 'check', data]);
    expect([code, stdout]).toEqual([1, expect.stringMatching(/images with a wrong extension: 16/)]);
  });

  test('with names that are not UTF-8', async () => {
    const data = join(folder, 'latin1');
    for (const image of images) {
      const label = /_y(\d)/.exec(image)?.[1];
      mkdirSync(join(data, `${label}`), { recursive: true });
      const name = Buffer.from(`${data}/${label}/caf\xe9 ${image}`, 'latin1');
      writeFileSync(name, readFileSync(goldenPath(`png/${image}`)));
    }
    expect(await scores(data, '--classes', 'number')).toEqual(expected);
    const bad = Buffer.from(`${data}/0/\xe9.png`, 'latin1');
    writeFileSync(bad, 'version https://git-lfs.github.com/spec/v1\n');
    const { code, stderr } = await evaluate(data, '--classes', 'number');
    expect([code, stderr]).toEqual([2, expect.stringMatching(/latin1\/0\/\\xE9\.png: .*a Git LFS pointer/)]);
  });

  test('in the home folder (~)', async () => {
    cpSync(goldenPath('png'), join(folder, 'home images'), { recursive: true });
    expect(await scores('~/home images')).toEqual(expected);
  });

  test('rotated by EXIF, if data.exif applies it; otherwise the scores differ', async () => {
    const data = await written('turned', async (file, png) => {
      await sharp(await sharp(png).rotate(90).png().toBuffer())
        .withMetadata({ orientation: 8 })
        .png()
        .toFile(`${file}.png`);
    });
    expect(await scores(data, '--set', 'data.exif=apply')).toEqual(expected);
    expect((await scores(data)).loss).not.toBe(expected.loss);
  });
});

test('an image of 1 x 20,000 pixels is named, with the size that it would get', async () => {
  const data = join(folder, 'long');
  mkdirSync(data);
  await sharp({ create: { width: 1, height: 20_000, channels: 3, background: 'red' } })
    .png()
    .toFile(join(data, 'a_y0.png'));
  const { code, stderr } = await evaluate(data, '--set', 'model.image_size=224');
  expect(code).toBe(2);
  expect(stderr).toContain(
    'a_y0.png: the image is 1 x 20000 pixels: resized to a shorter side of 256, it would be 5120000 pixels long',
  );
  expect(stderr).not.toContain('operand');
});

test('a recipe with ~/: run stops at a damaged validation image before anything is trained', async () => {
  const data = join(folder, 'pair');
  for (const part of ['train', 'val']) {
    for (const image of images) {
      const label = /_y(\d)/.exec(image)?.[1];
      mkdirSync(join(data, part, `${label}`), { recursive: true });
      cpSync(goldenPath(`png/${image}`), join(data, part, `${label}`, image));
    }
  }
  writeFileSync(join(data, 'train/notes.txt'), '');
  const damaged = join(data, 'val/9/05_y9.png');
  writeFileSync(damaged, readFileSync(damaged).subarray(0, 100));
  const recipe = join(folder, 'recipe.yaml');
  writeFileSync(
    recipe,
    `name: x
model: { image_size: 28, patch_size: 7, classes: 2, width: 16, depth: 4, heads: 1 }
incubation: { modules: 2 }
training: { batch_size: 4, epochs: 1 }
data: { format: folder, path: ~/pair }
`,
  );
  const { code, stderr } = await cli(['run', '~/recipe.yaml', '--out=~/run'], { env: { HOME: folder } });
  expect(code).toBe(2);
  expect(stderr).toContain('not read: 1 named .txt');
  expect(stderr).toContain(`1 of the 16 evaluation images cannot be read: ${damaged} (`);
  expect(readdirSync(join(folder, 'run'))).not.toContain('PT');
});
