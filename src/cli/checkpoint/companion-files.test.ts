import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../../test/cli-support.js';
import type { ModelFamily } from '../../models/family.js';
import { readModelFile } from '../../models/model-file/model-file.js';
import { vitFamily } from '../../models/vit/family.js';
import { writeConfusion } from '../../run/confusion.js';
import { runFolder } from '../../run/run-folder.js';
import { writeCard } from './companion-files.js';

const folder = temporaryFolder();

/** A checkpoint of FT in a run of its own, with weights that timm wrote. */
async function checkpointIn(name: string) {
  const root = join(folder, name);
  const { root: phase, confusion } = runFolder(root).phase('FT');
  mkdirSync(phase, { recursive: true });
  const recipe = {
    name: 'small',
    incubation: { modules: 3 },
    data: { format: 'folder', path: 'images' },
    model: { image_size: 32, patch_size: 8, classes: 5, width: 32, depth: 3, heads: 4 },
  };
  writeFileSync(runFolder(root).recipe, JSON.stringify(recipe));
  const file = await readModelFile('test/fixtures/interop/timm.safetensors');
  const last = { step: 7, top1: 80, top5: 100, loss: 0.5, images: 20 };
  const manifest = {
    phase: 'FT',
    step: 7,
    seed: 1,
    depths: [3],
    model: {},
    mean: [0.5],
    std: [0.25],
    last,
  };
  const at = join(phase, 'checkpoints', '7');
  return { confusion, checkpoint: { name, file: { ...file, path: at }, manifest } };
}

const { layouts } = vitFamily;
const layout = layouts.find(({ name }) => name === 'timm');
const facts = { depths: [3], channels: 3, classes: 5, imageSize: 32 };
const OPTIONS = { family: vitFamily as ModelFamily, layout, facts, isResized: false, force: false } as const;

test('a card is written next to the weights; classes have the names that an evaluation recorded', async () => {
  const { checkpoint, confusion } = await checkpointIn('named');
  const out = join(folder, 'a.safetensors');
  const path = join(folder, 'a.README.md');
  expect(writeCard(checkpoint, out, OPTIONS)).toEqual({ path, isWritten: true });
  const plain = readFileSync(path, 'utf8');
  expect(plain).toContain('| classes | 5 |');
  expect(plain).toContain('embed_dim=32, depth=3, num_heads=4');
  expect(plain).toContain('transforms.Normalize([0.5], [0.25])');
  expect(plain).toContain('measured on the 20 validation images');

  writeConfusion(confusion, { step: 7, classes: 5, names: ['a', 'b', 'c', 'd', 'e'], counts: [[0, 0, 20]] });
  expect(writeCard(checkpoint, out, OPTIONS)).toEqual({ path, isWritten: false });
  expect(readFileSync(path, 'utf8')).toBe(plain);
  expect(writeCard(checkpoint, out, { ...OPTIONS, force: true })).toEqual({ path, isWritten: true });
  expect(readFileSync(path, 'utf8')).toContain('| classes | 5, in this order: a, b, c, d, e |');
});

test('for resized weights the card states their size and no accuracy', async () => {
  const { checkpoint } = await checkpointIn('resized');
  writeCard(checkpoint, join(folder, 'b.safetensors'), {
    ...OPTIONS,
    facts: { ...facts, imageSize: 64 },
    isResized: true,
  });
  const card = readFileSync(join(folder, 'b.README.md'), 'utf8');
  expect(card).toContain('img_size=64, ');
  expect(card).toContain('transforms.Resize(73, ');
  expect(card).not.toContain('top-1');
});

test('weights without a run have no card', async () => {
  const file = await readModelFile('test/fixtures/interop/timm.safetensors');
  expect(writeCard({ name: 'x', file, manifest: undefined }, 'x', OPTIONS)).toBeUndefined();
});
