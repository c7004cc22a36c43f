import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import sharp from 'sharp';
import { randomStream } from '../../src/base/random.js';

const SIDE = 16;

interface Size {
  /** Width of the model; from 384, its checkpoints are written while it trains. */
  readonly width: number;
  /** Number of epochs per phase, 16 steps each. */
  readonly epochs: number;
}

/**
 * Writes images and a recipe for a run of five phases that takes seconds, with a checkpoint every few steps.
 * @returns the recipe's path
 */
export async function writeTinyRun(folder: string, { width, epochs }: Size): Promise<string> {
  const images = join(folder, 'images');
  for (const [split, count] of [
    ['train', 128],
    ['val', 8],
  ] as const) {
    for (const [label, name] of ['dark', 'bright'].entries()) {
      mkdirSync(join(images, split, name), { recursive: true });
      for (let i = 0; i < count; i++)
        await writeImage(join(images, split, name, `${i}.png`), [split, label, i]);
    }
  }
  const path = join(folder, 'recipe.json');
  writeFileSync(path, JSON.stringify(recipe(images, { width, epochs }), undefined, 2));
  return path;
}

/** Writes a noise image, brighter for class 1. */
async function writeImage(path: string, [split, label, i]: readonly [string, number, number]): Promise<void> {
  const random = randomStream(['kill', split, label, i]);
  const data = Uint8Array.from({ length: SIDE * SIDE * 3 }, () => random.integer(0, 180) + label * 50);
  await sharp(data, { raw: { width: SIDE, height: SIDE, channels: 3 } })
    .png()
    .toFile(path);
}

function recipe(images: string, { width, epochs }: Size): object {
  return {
    name: 'kill',
    model: { image_size: SIDE, patch_size: 8, classes: 2, width, depth: 4, heads: 2 },
    incubation: { modules: 2 },
    data: {
      format: 'folder',
      path: images,
      augment: { auto: 'rand-m9-mstd0.5-inc1', erase: 0.25, mixup: 0.8, cutmix: 1, repeats: 3 },
    },
    training: {
      epochs,
      batch_size: 8,
      total_batch: 16,
      log_every: 1,
      eval_every: 2,
      checkpoint_every: 0.05,
      keep_checkpoints: 2,
      ema: 0.9,
      clip_grad: 1,
      drop_path: 0.1,
      optimizer: { lr: 0.001, lr_batch: null },
      schedule: { kind: 'step-cosine', warmup: 1 },
    },
    phases: { PT: {}, FT: {}, E2E: { epochs } },
    run: { device: 'cpu', threads: 1, parallel: 2, workers: 2 },
  };
}
