import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { weightsOf } from '../../nn/weights.js';
import { phaseModel } from '../../phase/phase-model.js';
import { phaseOf } from '../../recipe/compile.js';
import { defineRecipe } from '../../recipe/recipe.js';
import type { RecipeInput } from '../../recipe/recipe-schema.js';
import { saveCheckpoint } from '../../run/checkpoint-store.js';
import { readCheckpointFile } from './checkpoint-file.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';

const folder = mkdtempSync(join(tmpdir(), 'checkpoint-task-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const base = {
  name: 'small',
  model: { image_size: 32, patch_size: 8, classes: 2, width: 32, depth: 4, heads: 2 },
  incubation: 'none',
  data: { format: 'folder', path: 'images' },
  phases: { E2E: { epochs: 1 } },
} as const satisfies RecipeInput;

/** A model with a decoder that labels pixels or finds objects. */
const decoding = (kind: 'upernet' | 'mask-rcnn'): RecipeInput => ({
  ...base,
  model: { ...base.model, decoder: { kind, channels: 4, ...(kind === 'mask-rcnn' && { hidden: 4 }) } },
  data: { format: kind === 'upernet' ? 'ade20k' : 'coco', path: 'images' },
});

/** A checkpoint with this in its manifest. */
async function checkpointOf(name: string, input: RecipeInput, own: object = {}) {
  const recipe = defineRecipe(input);
  const phase = phaseOf(recipe, 'E2E');
  const model = weightsOf(phaseModel(phase, [null], 'cpu'));
  const root = join(folder, name);
  mkdirSync(root);
  const { mean, std } = recipe.data;
  const { segmentation, detection } = recipe;
  const manifest = { phase: 'E2E', seed: 0, depths: [4], model: recipe.model, mean, std };
  const content = { ...manifest, segmentation, detection, ...own };
  saveCheckpoint(root, 1, { model, optimizer: model, manifest: content, isBest: false });
  return readCheckpointFile(root);
}

const taskOf = async (...parts: Parameters<typeof checkpointOf>) =>
  modelOfCheckpoint(await checkpointOf(...parts), { settings: [] }).recipe.task;

test.each([
  ['upernet', 'segmentation'],
  ['mask-rcnn', 'detection'],
] as const)('a manifest with %s: the task that it names, else that of the decoder', async (kind, task) => {
  expect(await taskOf(`${kind}-named`, decoding(kind), { task })).toBe(task);
  expect(await taskOf(`${kind}-older`, decoding(kind))).toBe(task);
});

test('a manifest without a decoder and a task is of a classifier, also if it names it', async () => {
  expect(await taskOf('classifier', base)).toBeUndefined();
  expect(await taskOf('named', base, { task: 'classification' })).toBeUndefined();
});

test('a recipe that names no task is one for a classifier; another task is a difference', async () => {
  // Only the manifest says that this classifier is not one.
  const checkpoint = await checkpointOf('given', base, { task: 'segmentation' });
  const known = (name: string, stated: object) => {
    const path = join(folder, name);
    writeFileSync(path, JSON.stringify({ ...base, ...stated }));
    return modelOfCheckpoint(checkpoint, { recipe: path, settings: [] });
  };
  expect(() => known('silent.json', {})).toThrow(
    'silent.json is a recipe for classification, but ' +
      join(folder, 'given/checkpoints/1') +
      ' labels pixels',
  );
  expect(known('other.json', { task: 'classification' })).toMatchObject({
    recipe: { task: 'classification' },
    differences: [expect.stringContaining('says task segmentation, the recipe classification')],
  });
});

test('a recipe with another task is a difference also for a classifier and for a manifest that names no task', async () => {
  const path = join(folder, 'detection.json');
  writeFileSync(path, JSON.stringify({ ...decoding('mask-rcnn'), task: 'detection' }));
  for (const [name, input, task] of [
    ['of-classes', base, 'classification'],
    ['of-pixels', decoding('upernet'), 'segmentation'],
  ] as const) {
    const { differences } = modelOfCheckpoint(await checkpointOf(name, input), {
      recipe: path,
      settings: [],
    });
    expect(differences).toContainEqual(expect.stringContaining(`says task ${task}, the recipe detection`));
  }
});

test('a setting cannot change the task of a checkpoint', async () => {
  const checkpoint = await checkpointOf('set', base);
  for (const settings of [['task=segmentation'], ['task=counting']])
    expect(() => modelOfCheckpoint(checkpoint, { settings })).toThrow(
      /classifies images, so task: .* is not possible/,
    );
  expect(modelOfCheckpoint(checkpoint, { settings: ['task=classification'] }).recipe.model).toBeDefined();
});

test('an unknown task is an error that names the manifest', async () => {
  const opened = checkpointOf('unknown', base, { task: 'counting' });
  await expect(opened).rejects.toThrow(InputError);
  await expect(opened).rejects.toMatchObject({
    message: `${join(folder, 'unknown/checkpoints/1/manifest.json')}: task counting is unknown`,
    hint: expect.stringContaining('classification, segmentation, detection'),
  });
});
