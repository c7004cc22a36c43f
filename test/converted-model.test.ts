import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { readSafetensors, writeSafetensors } from '../src/weights/safetensors/safetensors.js';
import { cli, temporaryFolder, writeImages } from './cli-support.js';

// A ResNet for 16 px with its own mean and std, which its weights do not contain.
const folder = temporaryFolder();
const images = join(folder, 'images');
const run = join(folder, 'run', 'E2E');
const converted = join(folder, 'else', 'model.safetensors');

const recipe = {
  name: 'resnet-16',
  model: { family: 'resnet', image_size: 16, classes: 2, blocks: [1, 1], widths: [4, 8] },
  incubation: 'none',
  data: { format: 'folder', path: images, mean: [0.4, 0.5, 0.6], std: [0.3, 0.2, 0.1], augment: 'none' },
  training: { batch_size: 8, optimizer: { lr: 0.01, lr_batch: null } },
  phases: { E2E: { epochs: 2 } },
  run: { device: 'cpu', threads: 1, parallel: 1 },
};

const recipeFile = (name: string, content: object) => {
  const path = join(folder, name);
  writeFileSync(path, JSON.stringify(content));
  return path;
};
const convert = (from: string, name: string, ...args: string[]) =>
  cli(['convert', from, join(folder, name), '--to', 'deep-incubation', ...args]);

async function accuracyOf(checkpoint: string, ...args: string[]) {
  const { code, stdout, stderr } = await cli(['eval', checkpoint, '--data', images, '--json', ...args]);
  expect(code).toBe(0);
  const { top1, loss } = JSON.parse(stdout);
  return { top1, loss, notes: stderr };
}

beforeAll(async () => {
  mkdirSync(join(folder, 'else'));
  await writeImages(images, { train: 16, val: 5 });
  const trained = await cli(['run', recipeFile('recipe.json', recipe), '--out', join(folder, 'run')]);
  expect(trained).toMatchObject({ code: 0 });
  expect(await convert(run, 'written.safetensors')).toMatchObject({ code: 0 });
  copyFileSync(join(folder, 'written.safetensors'), converted);
}, 120_000);

test('eval: image size, mean and std are those of the run; nothing is assumed', async () => {
  const { top1, loss } = await accuracyOf(run);
  const found = await accuracyOf(converted);
  expect(found).toMatchObject({ top1, loss });
  expect(found.notes).not.toContain('assumed');
});

test('inspect shows them once, and where the model was trained', async () => {
  const { stdout } = await cli(['inspect', converted]);
  expect(stdout).toMatch(/trained in +E2E, step \d+/);
  expect(stdout).toMatch(/"image_size":16/);
  expect(stdout).not.toMatch(/^manifest/m);
});

test('converted again, and with other values, which then apply', async () => {
  expect(await convert(converted, 'again.safetensors')).toMatchObject({ code: 0 });
  expect(await accuracyOf(join(folder, 'again.safetensors'))).toMatchObject({
    loss: (await accuracyOf(run)).loss,
  });
  const other = ['--set', 'data.mean=[0.1,0.2,0.3]'];
  expect(await convert(converted, 'other.safetensors', ...other)).toMatchObject({ code: 0 });
  const { loss } = await accuracyOf(join(folder, 'other.safetensors'));
  expect(loss).not.toBe((await accuracyOf(run)).loss);
  expect(loss).toBe((await accuracyOf(run, ...other)).loss);
  const { stdout } = await cli(['inspect', join(folder, 'other.safetensors'), '--json']);
  expect(JSON.parse(stdout).manifest).not.toHaveProperty('last');
});

test('a run that starts from it takes over what the recipe leaves out', async () => {
  const { mean: _, std: __, ...data } = recipe.data;
  const next = recipeFile('next.json', { ...recipe, data, start: { model: converted } });
  const out = join(folder, 'next');
  const { code, stderr } = await cli(['run', next, '--out', out]);
  expect(stderr).toMatch(/states data\.mean \[0\.4,0\.5,0\.6\], data\.std \[0\.3,0\.2,0\.1\]/);
  expect(code).toBe(0);
  expect(await cli(['run', next, '--out', out])).toMatchObject({ code: 0 });
});

test('an invalid manifest in the header: exit 2, naming the file and the key', async () => {
  const { tensors, metadata } = readSafetensors(converted);
  const written = (manifest: string) => {
    const path = join(folder, 'damaged.safetensors');
    writeSafetensors(path, tensors, { ...metadata, manifest });
    return cli(['eval', path, '--data', images]);
  };
  for (const [text, key] of [
    ['{', ''],
    ['{"phase":"E2E"}', 'step'],
  ]) {
    const { code, stderr } = await written(text);
    expect(code).toBe(2);
    expect(stderr).toContain(`damaged.safetensors: manifest in the header: ${key}`);
  }
});

test('weights of another program keep the mean and std that are known', async () => {
  const foreign = join(folder, 'foreign.safetensors');
  const { tensors } = readSafetensors(converted);
  writeSafetensors(foreign, tensors, {});
  const sets = ['model.image_size=16', 'data.mean=[0.4,0.5,0.6]', 'data.std=[0.3,0.2,0.1]'];
  const given = sets.flatMap((set) => ['--set', set]);
  expect(await convert(foreign, 'ours.safetensors', ...given)).toMatchObject({ code: 0 });
  const { loss } = await accuracyOf(join(folder, 'ours.safetensors'), '--set', 'model.image_size=16');
  expect(loss).toBe((await accuracyOf(run)).loss);
});
