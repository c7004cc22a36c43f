import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Interrupted } from '../src/base/errors.js';
import { planRun, prepareRun } from '../src/launch/prepare.js';
import { runRecipePhase } from '../src/library/run-recipe.js';
import type { PhaseName } from '../src/recipe/phase.js';
import { defineRecipe } from '../src/recipe/recipe.js';
import { loadLatest } from '../src/run/checkpoint-store.js';
import { jsonLines, writeImages } from './cli-support.js';
import { failure } from './fixtures/data-fixture.js';

// Whole phases with the optimiser muon.

const folder = mkdtempSync(join(tmpdir(), 'muon-run-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
beforeAll(() => writeImages(join(folder, 'images'), { train: 16, val: 4 }));

const OPTIMIZER = { name: 'muon', lr: 2e-3, lr_batch: null } as const;

function recipeOf(
  training: object,
  model: object = { patch_size: 8, width: 16, depth: 4, heads: 2, layer_scale: 0.1 },
) {
  return defineRecipe({
    name: 'tiny',
    model: { image_size: 16, classes: 2, ...model } as never,
    incubation: { modules: 2 },
    data: { format: 'folder', path: join(folder, 'images') },
    training: {
      epochs: 3,
      batch_size: 4,
      log_every: 1,
      checkpoint_every: 0.001,
      optimizer: OPTIMIZER,
      ...training,
    },
    run: { device: 'cpu' },
  });
}

const SETTINGS = {
  accumulate: 2,
  clip_grad: 1,
  ema: 0.9,
  freeze: ['blocks.*.attn.qkv.*'],
  optimizer: { ...OPTIMIZER, layer_decay: 0.8, adjust_lr: 'original', matrix_lr_scale: 4 },
} as const;

async function train(name: string, training: object, { phase = 'PT' as PhaseName, stopAt = 0 } = {}) {
  const recipe = recipeOf(training);
  const runDir = join(folder, name);
  prepareRun(recipe, runDir);
  const stop = new AbortController();
  let steps = 0;
  const onProgress = (doing: string) => {
    if (doing === 'training' && ++steps === stopAt) stop.abort();
  };
  await runRecipePhase({ recipe, phase, runDir, device: 'cpu', onProgress, signal: stop.signal });
  const { checkpoint } = loadLatest(join(runDir, phase));
  const losses = jsonLines(join(runDir, phase, 'metrics.jsonl'))
    .filter(({ kind }) => kind === 'step')
    .map(({ loss }) => Number(loss));
  return { checkpoint, losses };
}

test('a phase that is stopped and resumed ends as one that is not, and other settings give another result', async () => {
  const whole = await train('whole', SETTINGS);
  await expect(train('broken', SETTINGS, { stopAt: 4 })).rejects.toThrow(Interrupted);
  const { checkpoint, losses } = await train('broken', SETTINGS);
  expect(checkpoint?.manifest.files).toEqual(whole.checkpoint?.manifest.files);
  expect(losses).toEqual(whole.losses);

  const other = { ...SETTINGS, optimizer: { ...SETTINGS.optimizer, adjust_lr: 'match_rms_adamw' } };
  expect((await train('other', other)).losses).not.toEqual(whole.losses);

  const names = [...(checkpoint?.optimizer.keys() ?? [])].filter((name) => !/^(raw|ema)/.test(name));
  const slotOf = (parameter: string) =>
    names
      .filter((name) => name.endsWith(`.${parameter}`))
      .map((name) => name.slice(0, -parameter.length - 1));
  for (const matrix of ['attn.proj.weight', 'mlp.fc1.weight', 'mlp.fc2.weight'])
    expect(slotOf(`stages.0.blocks.0.${matrix}`)).toEqual(['momentum_buffer']);
  for (const rest of [
    'blocks.0.norm1.weight',
    'blocks.0.mlp.fc1.bias',
    'blocks.0.ls1.gamma',
    'pos_embed',
    'patch_embed.proj.weight',
  ])
    expect(slotOf(`stages.0.${rest}`)).toEqual(['exp_avg', 'exp_avg_sq']);
  expect(slotOf('stages.1.head.weight')).toEqual(['exp_avg', 'exp_avg_sq']);
  expect(slotOf('stages.0.blocks.0.attn.qkv.weight')).toEqual([]);
}, 120_000);

test('a checkpoint of AdamW is not one of muon', async () => {
  await expect(train('changed', { optimizer: { name: 'adamw' } }, { stopAt: 4 })).rejects.toThrow(
    Interrupted,
  );
  const path = join(folder, 'changed/recipe.json');
  expect(readFileSync(path, 'utf8')).toContain('adamw');
  await expect(train('changed', {})).rejects.toThrow('training.optimizer');
}, 60_000);

test('muon is refused where a phase trains no matrix of a block', () => {
  const resnet = recipeOf({}, { family: 'resnet', blocks: [2, 2], widths: [4, 8], channels: 3 });
  const { message, hint } = failure(() => planRun(resnet, 32));
  expect(message).toBe('PT: no two-dimensional weight of a block is trained, and muon is for these');
  expect(hint).toContain('use adamw or sgd');
  const frozen = recipeOf({ freeze: ['blocks.*.weight'] });
  expect(failure(() => planRun(frozen, 32)).message).toBe(message);
});
