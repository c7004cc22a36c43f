import { join } from 'node:path';
import { type Dataset, decodedAs, isClassified } from '../../data/dataset.js';
import type { StepImages } from '../../data/loader/batch.js';
import type { EvalBatchesOptions, TrainBatchesOptions } from '../../data/loader/loader.js';
import { classSubset, subset } from '../../data/loader/sampler.js';
import { heldOutCount } from '../../data/open/hold-out.js';
import type { DataPlace } from '../../data/open/identity.js';
import { type DatasetPair, openDataset } from '../../data/open/open-dataset.js';
import { joinedPassedOver, type PassedOver } from '../../data/passed-over.js';
import { deitTransform } from '../../data/transforms/deit-transform.js';
import { drawErasing } from '../../data/transforms/erase.js';
import { drawMix } from '../../data/transforms/mix.js';
import { evalTransform, type Transform } from '../../data/transforms/transform.js';
import { cacheRoot } from '../../files/home.js';
import { familyOf } from '../../models/families/families.js';
import type { ModelConfig } from '../../models/family.js';
import { dataOf, type Phase, type PhaseName } from '../../recipe/phase.js';
import { type CurriculumStage, stageEnds, stageOfStep } from '../../training/schedule.js';

/** Transforms that are applied to training images before the model sees them. */
type Augmentation = Pick<TrainBatchesOptions, 'transform' | 'erase' | 'mix' | 'repeats' | 'makeBatch'>;

/** The settings that determine images: those of a phase, or of a recipe. */
export type ImageSettings = Pick<Phase, 'seed' | 'data' | 'model' | 'start' | 'taskKind' | 'taskSettings'>;

/** How batches of evaluation images are made. */
export type EvaluationBatches = Pick<EvalBatchesOptions, 'transform' | 'makeBatch'> & {
  /** Default: that of training. */
  readonly batchSize?: number;
};

/** The images of a phase and their transforms. */
export interface Images {
  readonly train: Dataset;
  readonly val: Dataset;
  /** All images of the data set, including those that the phase does not use. */
  readonly whole: DatasetPair;
  readonly augmentation: Augmentation;
  readonly evaluation: EvaluationBatches;
  /** Files and folders next to the images that are not read. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * @param classes names of the classes in the order of their labels, if a run has set the order
 * @throws InputError if the images are missing or do not fit the settings
 */
export function openImagesOf(settings: ImageSettings, classes?: readonly string[]): Images {
  return imagesOf(settings, openWhole(settings, classes));
}

/** All images of a data set, with the labels of `classes`. Default: the class names in the settings, if any. */
function openWhole(
  settings: ImageSettings,
  classes: readonly string[] | undefined = settings.data.classes,
): DatasetPair {
  const head = keptHeadOf(settings);
  return openDataset({
    ...optionsOf(settings),
    modelClasses: settings.model.classes,
    classes,
    from: head ?? 'data.classes',
    whatToDo: (count) =>
      head === undefined
        ? 'Rename the classes, or correct data.classes.'
        : `Rename the classes, or set start.head to new and model.classes to ${count}: then a new head is trained for the classes of the images.`,
  });
}

/** A data set with the classes found in it, whatever their number. */
export function openAnyClasses({ data }: Pick<Phase, 'data'>): DatasetPair {
  return openDataset(optionsOf({ data }));
}

/**
 * The images of a plan. `isHeadUnknown`: the kept head has not been downloaded, so the images may have fewer classes than the
 * model, as in a run.
 * @throws InputError if the images are missing or do not fit the settings
 */
export function imagesOfPlan(
  settings: ImageSettings,
  { isHeadUnknown }: { readonly isHeadUnknown: boolean },
): Images {
  const whole = isHeadUnknown && keptHeadOf(settings) !== undefined ? openAnyClasses(settings) : undefined;
  const isSubset = whole !== undefined && whole.train.classes.length < settings.model.classes;
  return isSubset ? imagesOf(settings, whole) : openImagesOf(settings);
}

/** The weights whose head a run keeps, as named in messages. */
export function keptHeadOf({ start }: Pick<Phase, 'start'>): string | undefined {
  if (start.head !== 'keep') return undefined;
  if (start.model !== undefined) return `start.model ${start.model}`;
  return start.meta === undefined ? undefined : `start.meta ${start.meta}`;
}

function optionsOf({ data }: Pick<Phase, 'data'>) {
  return { ...placeOf({ data }), category: data.category, evalSplit: data.eval_split, split: data.split };
}

/** Applies the subsets and transforms of a phase to a data set. */
export function imagesOf(settings: ImageSettings, whole: DatasetPair): Images {
  const { data, seed } = settings;
  const share = data.fraction === 1 ? whole.train : classSubset(whole.train, data.fraction, seed);
  return {
    whole,
    train: decodedAs(subset(share, data.train_images), data),
    val: decodedAs(subset(whole.val, data.eval_images), data),
    augmentation: augmentationOf(settings),
    evaluation: evaluationOf(settings),
    passedOver: joinedPassedOver([whole.train.passedOver, whole.val.passedOver]),
  };
}

/** Where images are stored. */
export function placeOf({ data: { format, path } }: Pick<Phase, 'data'>): DataPlace {
  return { format, path: path ?? DEFAULT_PATHS[format]?.() };
}

/** One line about the images that `data.split` holds out; undefined if there is no split. */
export function heldOutLine(
  { split }: Pick<Phase['data'], 'split'>,
  { whole: { train, val, unread } }: Pick<Images, 'whole'>,
): string | undefined {
  if (split === undefined) return undefined;
  const [held, all] = [val.length, train.length + val.length].map((count) => count.toLocaleString('en-US'));
  const withImages = new Set(Array.from({ length: val.length }, (_, i) => val.label(i))).size;
  const classes = val.classes.length;
  const partial =
    isClassified(val) && withImages < classes ? `; they are of ${withImages} of the ${classes} classes` : '';
  const own = unread === undefined ? '' : `; ${unread} not read`;
  return `data.split: ${held} of ${all} training images are held out for evaluation (seed ${split.seed})${partial}${own}`;
}

/** The image settings of each phase of a run. */
export type RunImageSettings = Omit<ImageSettings, 'data'> & Pick<Phase, 'dataOfRun'>;

/** The settings of another phase's images, or of the run's. */
export function settingsOf(
  { seed, model, start, taskKind, taskSettings, dataOfRun }: RunImageSettings,
  name: PhaseName | 'run',
): ImageSettings {
  return { seed, model, start, taskKind, taskSettings, data: dataOf(dataOfRun, name) };
}

/** Number of training images of each phase. `most` is the number for phases that use the images of the run. */
export function trainImagesOf(run: RunImageSettings, most: number): (name: PhaseName) => number {
  const known = new Map<PhaseName, number>();
  return (name) => {
    const own = settingsOf(run, name);
    if (own.data === run.dataOfRun.run) return most;
    const count = known.get(name) ?? openImagesOf(own).train.length;
    known.set(name, count);
    return count;
  };
}

/**
 * How many of `images` training images are used, after those that are held out for evaluation. The real number may be higher:
 * every class keeps at least one.
 */
export function imagesLeft(
  { data: { fraction, train_images, split } }: Pick<Phase, 'data'>,
  images: number,
): number {
  const heldOut = split === undefined ? 0 : heldOutCount(split, images);
  const share = Math.max(1, Math.round(fraction * (images - heldOut)));
  return train_images === undefined ? share : Math.min(share, train_images);
}

/** The loader's threads, if their number is set. */
export function workersOf({ run }: Pick<Phase, 'run'>): { workers?: number } {
  return run.workers === 'auto' ? {} : { workers: run.workers };
}

const DEFAULT_PATHS: Partial<Record<Phase['data']['format'], () => string>> = {
  'fashion-mnist': () => join(cacheRoot(), 'fashion-mnist'),
  folder: () => '.',
};

/** How the evaluation images of a recipe or a phase are read. */
export function evaluationOf({
  data,
  model,
  taskKind: { annotations },
  taskSettings,
}: Omit<ImageSettings, 'seed' | 'start'>): EvaluationBatches {
  if (annotations !== undefined)
    return { makeBatch: annotations.evalBatch(taskSettings, configOf(model)), batchSize: 1 };
  return { transform: evalTransform(model.image_size, data.eval_crop) };
}

function augmentationOf(settings: ImageSettings): Augmentation {
  const { data, model, taskKind, taskSettings } = settings;
  if (taskKind.annotations !== undefined)
    return { makeBatch: taskKind.annotations.trainBatch(taskSettings, configOf(model)) };
  const { augment } = data;
  const transform = trainTransform(settings);
  if (augment === 'none') return { transform };
  const { mixup, cutmix, erase: probability } = augment;
  const mixing = { mixup, cutmix, prob: augment.mix_prob, switch_prob: augment.mix_switch };
  return {
    transform,
    repeats: augment.repeats,
    ...(probability > 0 && { erase: (image, random) => drawErasing({ probability }, image, random) }),
    ...(mixup + cutmix > 0 && { mix: (batch, random) => drawMix(mixing, batch, random) }),
  };
}

function configOf(model: ImageSettings['model']): ModelConfig {
  return familyOf(model).configOf(model, 'model');
}

/** @param magnitude of RandAugment, instead of the policy's */
function trainTransform({ data, model }: ImageSettings, magnitude?: number): Transform {
  const { image_size: size } = model;
  const { augment, mean } = data;
  if (augment === 'none') return evalTransform(size, data.eval_crop);
  return deitTransform({
    size,
    crop: augment.crop,
    padding: augment.crop_padding,
    scale: augment.crop_scale,
    ratio: augment.crop_ratio,
    flip: augment.flip,
    autoAugment: augment.auto,
    magnitude,
    threeAugment: augment.three_augment,
    colorJitter: augment.color_jitter,
    mean,
    fast: augment.fast_decode,
  });
}

/** What the loader changes at each step of a phase of `steps` steps; empty without a curriculum. */
export function curriculumOf(
  phase: ImageSettings & Pick<Phase, 'settings'>,
  steps: number,
): Pick<TrainBatchesOptions, 'atStep'> {
  const { curriculum } = phase.settings;
  if (curriculum === null) return {};
  const ends = stageEnds(curriculum, steps);
  const stages = curriculum.map((stage) => imagesOfStage(phase, stage));
  return { atStep: (step) => stages[stageOfStep(ends, step)] };
}

function imagesOfStage(settings: ImageSettings, stage: CurriculumStage): StepImages {
  const { size = settings.model.image_size, low_pass: lowPass, magnitude } = stage;
  return {
    ...(magnitude !== undefined && { transform: trainTransform(settings, magnitude) }),
    ...(size < settings.model.image_size && { shrink: { size, lowPass } }),
  };
}
