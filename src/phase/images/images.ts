import { join } from 'node:path';
import { cacheRoot } from '../../base/cache.js';
import type { Dataset } from '../../data/dataset.js';
import { decodedAs } from '../../data/dataset.js';
import type { TrainBatchesOptions } from '../../data/loader/loader.js';
import { classSubset, subset } from '../../data/loader/sampler.js';
import type { DataPlace } from '../../data/open/identity.js';
import { type DatasetPair, openDataset } from '../../data/open/open-dataset.js';
import { joinedPassedOver, type PassedOver } from '../../data/passed-over.js';
import { deitTransform } from '../../data/transforms/deit-transform.js';
import { drawErasing } from '../../data/transforms/erase.js';
import { drawMix } from '../../data/transforms/mix.js';
import { evalTransform, type FixedTransform } from '../../data/transforms/transform.js';
import type { PhaseName } from '../../recipe/phases.js';
import type { Recipe } from '../../recipe/recipe-schema.js';

/** Transforms that are applied to training images before the model sees them. */
export type Augmentation = Pick<TrainBatchesOptions, 'transform' | 'erase' | 'mix' | 'repeats'>;

/** The images of a recipe and their transforms. */
export interface Images {
  readonly train: Dataset;
  readonly val: Dataset;
  /** All images of the data set, including those that the recipe does not use. */
  readonly whole: DatasetPair;
  readonly augmentation: Augmentation;
  readonly evalTransform: FixedTransform;
  /** Files and folders next to the images that are not read. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * @param classes names of the classes in the order of their labels, if a run has set the order
 * @throws InputError if the images are missing or do not fit the recipe
 */
export function openImages(recipe: Recipe, classes?: readonly string[]): Images {
  return imagesOf(recipe, openWhole(recipe, classes));
}

/** All images of a recipe's data set, with the labels of `classes`. Default: the class names in the recipe, if any. */
function openWhole(
  recipe: Recipe,
  classes: readonly string[] | undefined = recipe.data.classes,
): DatasetPair {
  const head = keptHeadOf(recipe);
  return openDataset({
    ...optionsOf(recipe),
    modelClasses: recipe.model.classes,
    classes,
    from: head ?? 'data.classes',
    whatToDo: (count) =>
      head === undefined
        ? 'Rename the classes, or correct data.classes.'
        : `Rename the classes, or set start.head to new and model.classes to ${count}: the head is then trained for the classes of the images.`,
  });
}

/** A recipe's data set with the classes found in it, whatever their number. */
export function openAnyClasses({ data }: Pick<Recipe, 'data'>): DatasetPair {
  return openDataset(optionsOf({ data }));
}

/**
 * Number of training images that a recipe uses, for a plan. `isHeadUnknown`: the kept head has not been downloaded, so the
 * images may have fewer classes than the model, as in a run.
 * @throws InputError if the images are missing or do not fit the recipe
 */
export function trainImageCount(
  recipe: Recipe,
  { isHeadUnknown }: { readonly isHeadUnknown: boolean },
): number {
  const whole = isHeadUnknown && keptHeadOf(recipe) !== undefined ? openAnyClasses(recipe) : undefined;
  const isSubset = whole !== undefined && whole.train.classes.length < recipe.model.classes;
  return (isSubset ? imagesOf(recipe, whole) : openImages(recipe)).train.length;
}

/** The weights whose head a recipe keeps, as named in messages. */
export function keptHeadOf({ start }: Pick<Recipe, 'start'>): string | undefined {
  if (start.head !== 'keep') return undefined;
  if (start.model !== undefined) return `start.model ${start.model}`;
  return start.meta === undefined ? undefined : `start.meta ${start.meta}`;
}

function optionsOf({ data }: Pick<Recipe, 'data'>) {
  return { ...placeOf({ data }), category: data.category, evalSplit: data.eval_split };
}

/** Applies a recipe's subsets and transforms to a data set. */
export function imagesOf(recipe: Recipe, whole: DatasetPair): Images {
  const { data, model, seed } = recipe;
  const share = data.fraction === 1 ? whole.train : classSubset(whole.train, data.fraction, seed);
  return {
    whole,
    train: decodedAs(subset(share, data.train_images), data),
    val: decodedAs(subset(whole.val, data.eval_images), data),
    augmentation: augmentationOf(recipe),
    evalTransform: evalTransform(model.image_size, data.eval_crop),
    passedOver: joinedPassedOver([whole.train.passedOver, whole.val.passedOver]),
  };
}

/** Where a recipe's images are stored. */
export function placeOf({ data: { format, path } }: Pick<Recipe, 'data'>): DataPlace {
  return { format, path: path ?? DEFAULT_PATHS[format]?.() };
}

/** The recipe with the data settings of a phase. A module may train on different images than the run. */
export function recipeOfPhase(recipe: Recipe, name: PhaseName | 'run'): Recipe {
  const own = recipe.phases.modules?.[name.slice('MT/'.length)]?.data;
  return own === undefined || !name.startsWith('MT/')
    ? recipe
    : { ...recipe, data: { ...recipe.data, ...own } };
}

/** Number of training images of each phase. `most` is the number for phases that use the images of the run. */
export function trainImagesOf(recipe: Recipe, most: number): (name: PhaseName) => number {
  const known = new Map<PhaseName, number>();
  return (name) => {
    const own = recipeOfPhase(recipe, name);
    if (own === recipe) return most;
    const count = known.get(name) ?? openImages(own).train.length;
    known.set(name, count);
    return count;
  };
}

/** How many of `images` training images a recipe uses. The real number may be higher: every class keeps at least one. */
export function imagesLeft({ data: { fraction, train_images } }: Recipe, images: number): number {
  const share = Math.max(1, Math.round(fraction * images));
  return train_images === undefined ? share : Math.min(share, train_images);
}

/** The loader's threads, if the recipe sets their number. */
export function workersOf({ run }: Recipe): { workers?: number } {
  return run.workers === 'auto' ? {} : { workers: run.workers };
}

const DEFAULT_PATHS: Partial<Record<Recipe['data']['format'], () => string>> = {
  'fashion-mnist': () => join(cacheRoot(), 'fashion-mnist'),
  folder: () => '.',
};

function augmentationOf({ data, model: { image_size: size } }: Recipe): Augmentation {
  const { augment, mean } = data;
  if (augment === 'none') return { transform: evalTransform(size, data.eval_crop) };
  const { mixup, cutmix, erase: probability } = augment;
  const mixing = { mixup, cutmix, prob: augment.mix_prob, switch_prob: augment.mix_switch };
  return {
    transform: deitTransform({
      size,
      padding: augment.crop_padding,
      scale: augment.crop_scale,
      ratio: augment.crop_ratio,
      flip: augment.flip,
      autoAugment: augment.auto,
      colorJitter: augment.color_jitter,
      mean,
      fast: augment.fast_decode,
    }),
    repeats: augment.repeats,
    ...(probability > 0 && { erase: (image, random) => drawErasing({ probability }, image, random) }),
    ...(mixup + cutmix > 0 && { mix: (batch, random) => drawMix(mixing, batch, random) }),
  };
}
