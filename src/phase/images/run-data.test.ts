import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeImages } from '../../../test/cli-support.js';
import { InputError, Interrupted } from '../../base/errors.js';
import { prepareRun } from '../../launch/prepare.js';
import { recipeOfRun } from '../../launch/run-recipe.js';
import { runRecipePhase } from '../../library/run-recipe.js';
import { phaseOf } from '../../recipe/compile.js';
import { defineRecipe } from '../../recipe/recipe.js';
import { latestCheckpoint } from '../../run/checkpoint-store.js';
import { readMetrics } from '../../run/metrics-log.js';
import { checkedImages } from './run-data.js';
import { readRunData } from './run-data-file.js';

const folder = mkdtempSync(join(tmpdir(), 'run-data-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const original = join(folder, 'original');
beforeAll(() => writeImages(original, { train: 16, val: 4 }));

const recipeOf = (images: string, data: object = {}) =>
  defineRecipe({
    name: 'tiny',
    model: { image_size: 16, patch_size: 8, classes: 2, width: 16, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: { format: 'folder', path: images, ...data },
    training: { epochs: 4, batch_size: 8, log_every: 1, checkpoint_every: 0.001 },
    run: { device: 'cpu' },
  });

/** A run whose PT is done, and the images that it has: bright 0, dark 1; 16 of each to train on, 4 to evaluate on. */
async function trained(name: string) {
  const images = join(folder, `${name}-images`);
  cpSync(original, images, { recursive: true });
  const runDir = join(folder, name);
  prepareRun(recipeOf(images), runDir);
  await runRecipePhase({ recipe: recipeOf(images), phase: 'PT', runDir, device: 'cpu' });
  return { images, runDir, recipe: recipeOf(images) };
}

function refusal(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
  return '';
}

test('the run records classes, counts and digests, and each checkpoint the digest', async () => {
  const { runDir } = await trained('recorded');
  const data = readRunData(runDir);
  expect(data).toMatchObject({
    classes: ['bright', 'dark'],
    train: { images: 32, per_class: [16, 16] },
    val: { images: 8, per_class: [4, 4] },
    changes: [],
  });
  const { checkpoint } = latestCheckpoint(join(runDir, 'PT'));
  expect(checkpoint?.manifest.data).toEqual({ digest: data?.digest, train_images: 32 });
});

test.each([
  {
    name: 'a class that is renamed',
    change: (images: string) => {
      for (const split of ['train', 'val'])
        renameSync(join(images, split, 'bright'), join(images, split, 'zebra'));
    },
    parts: [
      'the class "bright" is now "zebra"',
      'labels, in class order: "dark" 0 instead of 1, "zebra" 1 instead of 0',
    ],
  },
  {
    name: 'seven more images',
    change: (images: string) => {
      for (let i = 0; i < 7; i++)
        copyFileSync(join(images, 'train/dark/0.png'), join(images, `train/dark/more-${i}.png`));
    },
    parts: [
      'train: 39 images instead of 32; 7 more: dark/more-0.png, dark/more-1.png, dark/more-2.png, dark/more-3.png, dark/more-4.png and 2 others',
    ],
  },
  {
    name: 'an image less in val, and one of another size',
    change: (images: string) => {
      rmSync(join(images, 'val/dark/3.png'));
      copyFileSync(join(images, 'val/bright/1.png'), join(images, 'val/bright/0.png'));
      writeFileSync(
        join(images, 'val/dark/0.png'),
        Buffer.concat([readFileSync(join(images, 'val/dark/0.png')), Buffer.alloc(5)]),
      );
    },
    parts: ['val: 7 images instead of 8; 1 gone: dark/3.png', 'of another size: ', 'dark/0.png ('],
  },
  {
    name: 'an image moved to another class',
    change: (images: string) =>
      renameSync(join(images, 'train/dark/3.png'), join(images, 'train/bright/moved.png')),
    parts: ['train: 1 more: bright/moved.png; 1 gone: dark/3.png'],
  },
  {
    name: 'a class that is gone',
    change: (images: string) => {
      for (const split of ['train', 'val']) rmSync(join(images, split, 'dark'), { recursive: true });
    },
    parts: ['1 class is gone: "dark"', 'train: 16 images instead of 32'],
  },
])('$name is named, in preparing and in a phase', async ({ name, change, parts }) => {
  const { images, runDir, recipe } = await trained(name.replaceAll(' ', '-'));
  change(images);
  const message = refusal(() => prepareRun(recipe, runDir));
  expect(message).toContain('the images are not those that it was trained on');
  for (const text of parts) expect(message).toContain(text);
  await expect(runRecipePhase({ recipe, phase: 'MT/0', runDir, device: 'cpu' })).rejects.toThrow(message);
  expect(existsSync(join(runDir, 'MT/0/checkpoints'))).toBe(false);
});

test('a data set is the same after a move, or if its files were written in another order', async () => {
  const { images, runDir } = await trained('moved');
  const elsewhere = join(folder, 'else/where');
  for (const split of ['val', 'train'])
    for (const name of ['dark', 'bright'])
      for (let i = split === 'train' ? 15 : 3; i >= 0; i--)
        cpSync(join(images, split, name, `${i}.png`), join(elsewhere, split, name, `${i}.png`));
  rmSync(images, { recursive: true });
  prepareRun(recipeOf(elsewhere), runDir);
  expect(recipeOfRun(runDir).data.path).toBe(elsewhere);
});

test('an accepted class name gets the label of the old one, and all others keep theirs', async () => {
  const { images, runDir, recipe } = await trained('accepted');
  const before = latestCheckpoint(join(runDir, 'PT')).checkpoint;
  for (const split of ['train', 'val'])
    renameSync(join(images, split, 'bright'), join(images, split, 'zebra'));
  const notes: string[] = [];
  prepareRun(recipe, runDir, { acceptDataChange: true, note: (line) => notes.push(line) });
  expect(notes).toEqual(['accepted: the class "bright" is now "zebra"', 'accepted: "zebra" has label 0']);
  const { images: opened } = checkedImages(phaseOf(recipe, 'PT'), runDir, 'run');
  expect(opened.train.classes).toEqual(['zebra', 'dark']);
  for (let i = 0; i < opened.train.length; i++) {
    expect(opened.train.label(i)).toBe(opened.train.describe(i).includes('zebra') ? 0 : 1);
  }
  const data = readRunData(runDir);
  expect(data?.changes).toMatchObject([
    { of: 'run', changes: ['the class "bright" is now "zebra"', '"zebra" has label 0'] },
  ]);
  expect(data?.changes[0].after).toBe(data?.digest);
  expect(data?.changes[0].before).toBe(Object(before?.manifest.data).digest);
  // An accepted change is part of the run, and later phases record it.
  prepareRun(recipe, runDir);
  await runRecipePhase({ recipe, phase: 'MT/0', runDir, device: 'cpu' });
  expect(readFileSync(join(runDir, 'MT/0/log.txt'), 'utf8')).toContain('the class "bright" is now "zebra"');
});

test('images added during a phase change neither epoch nor schedule, with a message', async () => {
  const images = join(folder, 'growing-images');
  cpSync(original, images, { recursive: true });
  const runDir = join(folder, 'growing');
  const recipe = recipeOf(images);
  const plan = prepareRun(recipe, runDir).plan.phases[0];
  const stop = new AbortController();
  let steps = 0;
  const onProgress = (doing: string) => {
    if (doing === 'training' && ++steps === 9) stop.abort();
  };
  const run = { recipe, phase: 'PT', runDir, device: 'cpu', onProgress } as const;
  await expect(runRecipePhase({ ...run, signal: stop.signal })).rejects.toThrow(Interrupted);
  for (let i = 0; i < 24; i++)
    copyFileSync(join(images, 'train/dark/0.png'), join(images, `train/dark/x${i}.png`));
  await expect(runRecipePhase(run)).rejects.toThrow('56 images instead of 32');
  await runRecipePhase({ ...run, acceptDataChange: true });
  const records = readMetrics(join(runDir, 'PT/metrics.jsonl')).filter(({ kind }) => kind === 'step');
  expect(plan).toMatchObject({ steps: 16, steps_per_epoch: 4 });
  expect(records.map(({ step }) => step)).toEqual(Array.from({ length: 16 }, (_, i) => i + 1));
  expect(records.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 16 }, (_, i) => Math.floor(i / 4)));
  const log = readFileSync(join(runDir, 'PT/log.txt'), 'utf8');
  expect(log).toContain('train: 56 images instead of 32; 24 more: dark/x0.png');
  expect(log).toContain(
    'the schedule keeps its 16 steps, 4 an epoch, of 32 training images; there are 56 now',
  );
  // Phases that have not started are planned with the current images.
  const after = prepareRun(recipe, runDir).plan.phases;
  expect(after.map(({ steps_per_epoch }) => steps_per_epoch)).toEqual([4, 7, 7, 7]);
});

test('a run without data.json records its images with a message; the lineage detects other images', async () => {
  const { images, runDir, recipe } = await trained('older');
  const forget = () => {
    rmSync(join(runDir, 'data.json'));
    rmSync(join(runDir, 'data'), { recursive: true });
  };
  forget();
  const notes: string[] = [];
  prepareRun(recipe, runDir, { note: (line) => notes.push(line) });
  expect(notes).toEqual([expect.stringMatching(/^assumed: the images are those that the run began with/)]);
  expect(readRunData(runDir)?.train.images).toBe(32);

  forget();
  rmSync(join(images, 'train/dark/3.png'));
  expect(refusal(() => prepareRun(recipe, runDir))).toContain('PT was trained on other training images');
  prepareRun(recipe, runDir, { acceptDataChange: true });
  expect(readRunData(runDir)?.train.images).toBe(31);
});

test('the images may change until something has been trained', () => {
  const images = join(folder, 'free-images');
  cpSync(original, images, { recursive: true });
  const runDir = join(folder, 'free');
  prepareRun(recipeOf(images), runDir);
  rmSync(join(images, 'train/dark/3.png'));
  prepareRun(recipeOf(images), runDir);
  expect(readRunData(runDir)).toMatchObject({ train: { images: 31 }, changes: [] });
});

test('a damaged data.json is named', async () => {
  const { runDir, recipe } = await trained('damaged');
  writeFileSync(join(runDir, 'data.json'), '{"format": 1}');
  expect(refusal(() => prepareRun(recipe, runDir))).toContain(`${join(runDir, 'data.json')}: classes: `);
});

test('a module that learns from a share of the images records the share, and the digest of all images', async () => {
  const { runDir, recipe } = await trained('share');
  const less = defineRecipe({
    ...recipe,
    phases: { ...recipe.phases, modules: { 0: { data: { fraction: 0.5 } } } },
  });
  prepareRun(less, runDir);
  await runRecipePhase({ recipe: less, phase: 'MT/0', runDir, device: 'cpu' });
  const { checkpoint } = latestCheckpoint(join(runDir, 'MT/0'));
  expect(checkpoint?.manifest.data).toEqual({ digest: readRunData(runDir)?.digest, train_images: 16 });
  // 16 images, 8 a step, 4 epochs.
  expect(checkpoint?.step).toBe(8);
});
