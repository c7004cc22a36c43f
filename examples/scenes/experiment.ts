import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as di from 'deep-incubation';
import { writeScenes } from './write-scenes.js';

/** What the model for scenes starts from. */
export const STARTS = ['from scratch', 'end-to-end backbone', 'incubated backbone'] as const;
export type Start = (typeof STARTS)[number];

export const TASKS = ['segmentation', 'detection'] as const;
export type SceneTask = (typeof TASKS)[number];

/**
 * The layout of the scenes that a task reads, its metrics, and settings from scratch: of the tried rates of the backbone, the best one for
 * a model from scratch.
 */
const OF_TASK = {
  segmentation: {
    layout: 'ade20k',
    metrics: ['miou'],
    fromScratch: ['training.optimizer.backbone_lr_scale=null'],
  },
  detection: { layout: 'coco', metrics: ['ap', 'mask_ap'], fromScratch: [] },
} as const;

export interface Sizes {
  readonly train: number;
  readonly val: number;
  /** Epochs of the models for scenes. */
  readonly epochs: Readonly<Record<SceneTask, number>>;
  /** Settings of the recipes, as for `--set`. */
  readonly backbone: readonly string[];
  readonly segmentation: readonly string[];
  readonly detection: readonly string[];
}

const FULL: Sizes = {
  train: 200,
  val: 100,
  epochs: { segmentation: 10, detection: 5 },
  backbone: [],
  segmentation: [],
  detection: [],
};

/** The results of one seed, in percent. */
export interface SeedResult {
  readonly seed: number;
  /** Accuracy of the backbones on Fashion-MNIST. */
  readonly backbones: { readonly end_to_end: number; readonly incubated: number };
  /** mIoU of predicting the background everywhere. */
  readonly background: number;
  /** By metric: `miou`, `ap` of boxes, `mask_ap`. Those of other tasks than the trained ones are missing. */
  readonly scores: Readonly<Record<string, Readonly<Record<Start, number>>>>;
}

interface SeedOptions {
  readonly tasks?: readonly SceneTask[];
  readonly sizes?: Sizes;
  readonly items?: di.DatasetPair;
  /** A folder of images that the backbones are trained on, instead of Fashion-MNIST. */
  readonly path?: string;
}

/** Writes the scenes of a seed, trains both backbones and the three models of each task, and writes `ROOT/result.json`. */
export async function runSeed(
  root: string,
  seed: number,
  {
    tasks = TASKS,
    sizes = FULL,
    items = di.openDataset({ format: 'fashion-mnist' }),
    path,
  }: SeedOptions = {},
): Promise<SeedResult> {
  mkdirSync(root, { recursive: true });
  const { train, val } = sizes;
  const scenes = join(root, 'scenes');
  const { pixels } = await writeScenes(scenes, { train, val, seed, items });
  const common = [`seed=${seed}`, 'run.device=cpu'];

  const backbone = join(root, 'backbone');
  const images = path === undefined ? [] : [`data.path=${path}`, 'data.format=folder'];
  const trained = await di.runRecipe({
    recipe: di.readRecipe('examples/scenes/backbone.yaml', [...common, ...images, ...sizes.backbone]),
    runDir: backbone,
  });

  const models = { 'end-to-end backbone': join(backbone, 'E2E'), 'incubated backbone': join(backbone, 'FT') };
  const scores: Record<string, Record<Start, number>> = {};
  for (const task of tasks) {
    const { layout, metrics, fromScratch } = OF_TASK[task];
    const data = `data.path=${join(scenes, layout)}`;
    const resultOf = async (start: Start) => {
      const own = start === 'from scratch' ? fromScratch : [];
      const settings = [
        ...common,
        data,
        ...startOf(start, sizes.epochs[task], models),
        ...own,
        ...sizes[task],
      ];
      const recipe = di.readRecipe(`examples/scenes/${task}.yaml`, settings);
      const [result] = await di.runRecipe({ recipe, runDir: folderOf(root, task, start) });
      return result;
    };
    const results = {
      'from scratch': await resultOf('from scratch'),
      'end-to-end backbone': await resultOf('end-to-end backbone'),
      'incubated backbone': await resultOf('incubated backbone'),
    };
    for (const metric of metrics) scores[metric] = each((start) => Number(results[start][metric]));
  }
  const result: SeedResult = {
    seed,
    backbones: { end_to_end: scoreOf(trained, 'E2E', 'top1'), incubated: scoreOf(trained, 'FT', 'top1') },
    background: backgroundMiou(pixels),
    scores,
  };
  writeFileSync(join(root, 'result.json'), `${JSON.stringify(result, undefined, 2)}\n`);
  return result;
}

/** The folder of a run. */
export function folderOf(root: string, task: SceneTask, start: Start): string {
  return join(root, task, start.replaceAll(' ', '-'));
}

/** The settings of a start. From scratch, the recipe has only the phase E2E. */
function startOf(
  start: Start,
  epochs: number,
  models: Readonly<Record<Exclude<Start, 'from scratch'>, string>>,
): string[] {
  if (start === 'from scratch') return [`phases={E2E: {epochs: ${epochs}}}`];
  return [`training.epochs=${epochs}`, `start.model=${models[start]}`, 'start.head=new'];
}

function each<T>(value: (start: Start) => T): Record<Start, T> {
  return Object.fromEntries(STARTS.map((start) => [start, value(start)])) as Record<Start, T>;
}

function scoreOf(results: readonly di.PhaseResult[], phase: string, metric: string): number {
  return Number(results.find((result) => result.phase === phase)?.[metric]);
}

/** The mean over the classes that occur; only the background's IoU is above 0. */
function backgroundMiou(pixels: readonly number[]): number {
  const total = pixels.reduce((sum, count) => sum + count, 0);
  return (100 * pixels[0]) / total / pixels.filter((count) => count > 0).length;
}
