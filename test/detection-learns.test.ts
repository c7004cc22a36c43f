import { cpSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { prepareRun } from '../src/launch/prepare.js';
import { runRecipePhase } from '../src/library/run-recipe.js';
import { defineRecipe } from '../src/recipe/recipe.js';
import type { RecipeInput } from '../src/recipe/recipe-schema.js';
import { jsonLines, temporaryFolder } from './cli-support.js';
import { COCO_CATEGORIES, writeCoco } from './coco.js';

const folder = temporaryFolder();
const images = join(folder, 'coco');

const input = {
  name: 'tiny',
  task: 'detection',
  model: {
    image_size: 64,
    patch_size: 8,
    classes: COCO_CATEGORIES.length,
    width: 32,
    depth: 4,
    heads: 2,
    mlp_ratio: 2,
    decoder: { kind: 'mask-rcnn', channels: 16, hidden: 64, anchor_size: 16, window: 8 },
  },
  incubation: 'none',
  data: { format: 'coco', path: images },
  detection: {
    scale: [64, 64],
    augment: { scales: [64], flip: 0 },
    training: { anchors: 64, regions: 32, before_nms: 60, proposals: 40 },
    evaluation: { before_nms: 60, proposals: 40, objects: 10 },
  },
  training: {
    batch_size: 4,
    drop_path: 0,
    clip_grad: 1,
    eval_every: 20,
    log_every: 20,
    optimizer: { lr: 0.003, lr_batch: null },
    schedule: { kind: 'step-cosine', warmup: 5 },
  },
  phases: { E2E: { epochs: 60 } },
  run: { device: 'cpu' },
};

test('trained on eight images, a detector finds their objects, boxes and masks', async () => {
  await writeCoco(images, { train: 8, val: 1 });
  rmSync(join(images, 'val2017'), { recursive: true });
  cpSync(join(images, 'train2017'), join(images, 'val2017'), { recursive: true });
  const annotations = (part: string) => join(images, 'annotations', `instances_${part}2017.json`);
  cpSync(annotations('train'), annotations('val'));

  const recipe = defineRecipe(input as RecipeInput);
  const runDir = join(folder, 'run');
  prepareRun(recipe, runDir);
  await runRecipePhase({ recipe, phase: 'E2E', runDir, device: 'cpu' });
  const evaluations = jsonLines(join(runDir, 'E2E/metrics.jsonl')).filter(({ kind }) => kind === 'eval');
  const [first, last] = [evaluations[0], evaluations[evaluations.length - 1]];
  for (const metric of ['ap', 'mask_ap']) {
    expect(Number(last[metric]), metric).toBeGreaterThan(70);
    expect(Number(last[metric]) - Number(first[metric]), metric).toBeGreaterThan(15);
  }
}, 120_000);
