import type { Dataset } from '../data/dataset.js';
import { withModelLabels } from '../data/model-labels.js';
import type { DatasetPair } from '../data/open-dataset.js';
import type { Recipe } from './recipe/recipe-schema.js';

/**
 * Gives images the labels that `classes` has for the names of their classes. Some of the classes may have no images.
 * @throws InputError that lists names which are not among them
 */
export function labelledByName(
  { train, val }: DatasetPair,
  classes: readonly string[],
  recipe: Recipe,
): DatasetPair {
  const model = {
    count: classes.length,
    named: { names: classes, from: whoseNames(recipe) },
    isCertain: true,
    whatToDo: whatToDo(recipe, train.classes.length),
  };
  return {
    train: withModelLabels(train, model, 'the training images').dataset,
    val: withModelLabels(val, model, 'the validation images').dataset,
  };
}

/** Gives names to classes that have numbers only. */
export function namedByNumber({ train, val }: DatasetPair, classes: readonly string[]): DatasetPair {
  const named = (dataset: Dataset): Dataset => ({ ...dataset, classes, isUnnamed: false });
  return { train: named(train), val: named(val) };
}

/** The weights whose head a recipe keeps, as a message names them. */
export function keptHeadOf({ start }: Recipe): string | undefined {
  if (start.head !== 'keep') return undefined;
  if (start.model !== undefined) return `start.model ${start.model}`;
  return start.meta === undefined ? undefined : `start.meta ${start.meta}`;
}

function whoseNames(recipe: Recipe): string {
  return keptHeadOf(recipe) ?? 'data.classes';
}

function whatToDo(recipe: Recipe, count: number): string {
  return keptHeadOf(recipe) === undefined
    ? 'Rename the classes, or correct data.classes.'
    : `Rename the classes, or set start.head to new and model.classes to ${count}: the head is then trained for the classes of the images.`;
}
