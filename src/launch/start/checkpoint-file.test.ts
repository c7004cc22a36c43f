import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { weightsOf } from '../../nn/weights.js';
import { phaseModel } from '../../phase/phase-model.js';
import { phaseOf } from '../../recipe/compile.js';
import type { PhaseName } from '../../recipe/phase.js';
import { defineRecipe } from '../../recipe/recipe.js';
import { saveCheckpoint } from '../../run/checkpoint-store.js';
import { readCheckpointFile } from './checkpoint-file.js';

const folder = mkdtempSync(join(tmpdir(), 'checkpoint-place-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const recipe = defineRecipe({
  name: 'small',
  model: { image_size: 8, patch_size: 4, classes: 2, width: 8, depth: 2, heads: 2 },
  incubation: { modules: 2 },
  data: { format: 'folder', path: 'images' },
});

/** Steps 10 (the best) and 20. */
function makePhase(run: string, name: PhaseName): void {
  const phase = phaseOf(recipe, name);
  const stages = phase.depths.map(() => null);
  const model = weightsOf(phaseModel(phase, stages, 'cpu'));
  const root = join(folder, run, ...name.split('/'));
  mkdirSync(root, { recursive: true });
  const { mean, std } = recipe.data;
  const manifest = { phase: name, seed: 0, depths: phase.depths, model: recipe.model, mean, std };
  for (const step of [10, 20])
    saveCheckpoint(root, step, { model, optimizer: model, manifest, isBest: step === 10 });
  writeFileSync(join(folder, run, 'recipe.json'), JSON.stringify(recipe));
}

beforeAll(() => {
  makePhase('run', 'PT');
  makePhase('run', 'FT');
  makePhase('early', 'PT');
});

const read = async (name: string) => {
  const notes: string[] = [];
  const { manifest } = await readCheckpointFile(join(folder, name), { note: (line) => notes.push(line) });
  return { phase: manifest?.phase, step: manifest?.step, notes };
};

test.each([
  ['run', 'FT', 20],
  ['run/', 'FT', 20],
  ['run/best', 'FT', 10],
  ['run/latest', 'FT', 20],
  ['run/FT', 'FT', 20],
  ['run/FT/', 'FT', 20],
  ['run/FT/best', 'FT', 10],
  ['run/FT/latest', 'FT', 20],
  ['run/FT/checkpoints/best', 'FT', 10],
  ['run/FT/checkpoints/latest', 'FT', 20],
  ['run/PT/best', 'PT', 10],
  ['early/PT/best', 'PT', 10],
])('%s is step %s of %i', async (name, phase, step) => {
  const { notes, ...found } = await read(name);
  expect(found).toEqual({ phase, step });
  expect(notes).toHaveLength(1);
  expect(notes[0]).toContain(`checkpoints/${step} (${step === 10 ? 'best' : 'latest'}, step ${step}`);
  if (step === 20) expect(notes[0]).toMatch(/the best is step 10: .*best\)$/);
});

test('a checkpoint that is named directly causes no message', async () => {
  expect(await read('run/FT/checkpoints/10')).toEqual({ phase: 'FT', step: 10, notes: [] });
});

test('a run without a result, a phase without a best checkpoint, and other paths are refused', async () => {
  await expect(read('early')).rejects.toThrow('is a run without a result yet');
  await expect(read('early')).rejects.toMatchObject({
    hint: `name one of its phases: ${join(folder, 'early/PT')}`,
  });
  rmSync(join(folder, 'early/PT/checkpoints/10'), { recursive: true });
  await expect(read('early/PT/best')).rejects.toThrow('has no best checkpoint: ');
  await expect(read('elsewhere/best')).rejects.toThrow('does not exist');
});

test.each([
  ['timm/vit_tiny', 'did you mean hf:timm/vit_tiny?'],
  ['runs/missing/FT', 'check the path of the checkpoint'],
])('the hint for the missing %s', async (name, hint) => {
  await expect(readCheckpointFile(name, { note: () => {} })).rejects.toMatchObject({ hint });
});
