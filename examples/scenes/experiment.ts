import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as di from 'deep-incubation';
import { writeScenes } from './write-scenes.js';

/** What the model for scenes starts from. */
export const STARTS = ['from scratch', 'end-to-end backbone', 'incubated backbone'] as const;
export type Start = (typeof STARTS)[number];

export interface Sizes {
  readonly train: number;
  readonly val: number;
  /** Epochs of the models for scenes. */
  readonly epochs: number;
  /** Settings of the recipes, as for `--set`. */
  readonly backbone: readonly string[];
  readonly segmentation: readonly string[];
}

const FULL: Sizes = { train: 200, val: 200, epochs: 10, backbone: [], segmentation: [] };

/** The results of one seed, in percent. */
export interface SeedResult {
  readonly seed: number;
  /** Accuracy of the backbones on Fashion-MNIST. */
  readonly backbones: { readonly end_to_end: number; readonly incubated: number };
  /** mIoU of predicting the background everywhere. */
  readonly background: number;
  readonly miou: Readonly<Record<Start, number>>;
}

/** Writes the scenes of a seed, trains both backbones and the three models for scenes, and writes `ROOT/result.json`. */
export async function runSeed(
  root: string,
  seed: number,
  { sizes = FULL, items = di.openDataset({ format: 'fashion-mnist' }), path = '' } = {},
): Promise<SeedResult> {
  mkdirSync(root, { recursive: true });
  const { train, val } = sizes;
  const scenes = join(root, 'scenes');
  const { pixels } = await writeScenes(scenes, { train, val, seed, items });
  const common = [`seed=${seed}`, 'run.device=cpu'];

  const backbone = join(root, 'backbone');
  const images = path === '' ? [] : [`data.path=${path}`, 'data.format=folder'];
  const trained = await di.runRecipe({
    recipe: di.readRecipe('examples/scenes/backbone.yaml', [...common, ...images, ...sizes.backbone]),
    runDir: backbone,
  });

  const miouFrom = async (start: Start, model?: string): Promise<number> => {
    const settings = [
      ...common,
      `data.path=${join(scenes, 'ade20k')}`,
      ...(model === undefined
        ? // From scratch, all layers have the full rate.
          [`phases.E2E.epochs=${sizes.epochs}`, 'training.optimizer.layer_decay=null']
        : [`training.epochs=${sizes.epochs}`, `start.model=${model}`, 'start.head=new']),
      ...sizes.segmentation,
    ];
    const recipe = di.readRecipe('examples/scenes/segmentation.yaml', settings);
    const results = await di.runRecipe({ recipe, runDir: join(root, start.replaceAll(' ', '-')) });
    return scoreOf(results, model === undefined ? 'E2E' : 'FT', 'miou');
  };
  const result: SeedResult = {
    seed,
    backbones: { end_to_end: scoreOf(trained, 'E2E', 'top1'), incubated: scoreOf(trained, 'FT', 'top1') },
    background: backgroundMiou(pixels),
    miou: {
      'from scratch': await miouFrom('from scratch'),
      'end-to-end backbone': await miouFrom('end-to-end backbone', join(backbone, 'E2E')),
      'incubated backbone': await miouFrom('incubated backbone', join(backbone, 'FT')),
    },
  };
  writeFileSync(join(root, 'result.json'), `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

function scoreOf(results: readonly di.PhaseResult[], phase: string, metric: string): number {
  return Number(results.find((result) => result.phase === phase)?.[metric]);
}

/** The mean over the classes that occur; only the background's IoU is above 0. */
function backgroundMiou(pixels: readonly number[]): number {
  const total = pixels.reduce((sum, count) => sum + count, 0);
  return (100 * pixels[0]) / total / pixels.filter((count) => count > 0).length;
}
