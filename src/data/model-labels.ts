import { InputError } from '../base/errors.js';
import {
  areNumbers,
  className,
  labelsAmong,
  labelsByName,
  listed,
  type NamedClasses,
  numbered,
  numberInFront,
  numberNames,
  sameClasses,
} from './class-names.js';
import type { Dataset } from './dataset.js';

/** Facts about the classes of a model. */
export interface ModelClasses {
  /** Number of classes. */
  readonly count: number;
  /** The names of the classes; absent if they are unknown. */
  readonly named?: NamedClasses | undefined;
  /** True if the names come from a run or the user, so that they are the names of the training images. */
  readonly isCertain?: boolean;
  /** True if folders are named by their labels: `9`, `9_boot`. */
  readonly byNumber?: boolean;
  /** Hint for names that the model does not have. Default: to state them with `--classes`. */
  readonly whatToDo?: string;
}

/** Images with the labels of a model. */
export interface ModelImages {
  readonly dataset: Dataset;
  /** Assumptions about the labels, as short texts. */
  readonly assumptions: readonly string[];
  /** Names of the model's classes that have no images. */
  readonly missing: readonly string[];
}

/**
 * Gives images the labels of a model.
 * - If both have class names, a class has the label of its name. Some classes may have no images.
 * - If the model has no class names, the labels of the data set are used, and this assumption is reported. The same applies
 *   if the folders are named by WordNet ids (`n01440764`) and the model's names are words.
 * - If the data set has no class names, its labels, which are numbers, are the model's labels.
 *
 * @param where the data set, for messages
 * @throws InputError if the model does not have some of the names (all are listed), or if the labels cannot be determined: the
 *   model has no class names, and the data set has a different number of classes.
 */
export function withModelLabels(dataset: Dataset, model: ModelClasses, where: string): ModelImages {
  const used = usedLabels(dataset);
  const { labels, assumptions } = labelling(dataset, used, model, where);
  const top = used.find((label) => !(labels[label] < model.count));
  if (top !== undefined) {
    throw new InputError(`${where} has label ${labels[top]}, but the model has ${model.count} classes`, {
      hint: 'Labels must be from 0 to the number of classes - 1.',
    });
  }
  const classes = model.named?.names ?? namesByLabel(dataset, labels, model.count);
  const seen = new Set(used.map((label) => labels[label]));
  return {
    dataset: { ...dataset, classes, label: (i) => labels[dataset.label(i)] },
    assumptions,
    missing: classes.filter((_, label) => !seen.has(label)),
  };
}

interface Labelling {
  /** The model's label for each label of the data set. */
  readonly labels: readonly number[];
  readonly assumptions: readonly string[];
}

function labelling(dataset: Dataset, used: readonly number[], model: ModelClasses, where: string): Labelling {
  const { classes, isUnnamed } = dataset;
  const same = classes.map((_, label) => label);
  if (isUnnamed) {
    requireCount(dataset, model, where);
    return { labels: same, assumptions: numbersAssumed(model, where) };
  }
  if (model.byNumber) return { labels: byNumber(classes, used, model.count, where), assumptions: [] };
  const { named } = model;
  const names = used.map((label) => classes[label]);
  if (named === undefined || !isUsable(names, classes, model)) {
    return { labels: same, assumptions: [orderAssumed(dataset, model, where)] };
  }
  if (sameClasses(classes, named.names)) return { labels: same, assumptions: [] };
  const found = labelsAmong(names, named, (name) => name, model.whatToDo ?? STATE_THEM(where));
  const labels = classes.map(() => -1);
  for (const [i, label] of used.entries()) labels[label] = found[i];
  return { labels, assumptions: [] };
}

const STATE_THEM = (where: string) =>
  `If ${where} has the model's classes under other names, list these names in a file, in label order, and name it with --classes.`;

/**
 * Whether the labels of a data set can be determined from the model's class names.
 * @param names the data set's class names
 */
export function saysNames(names: readonly string[], model: ModelClasses): boolean {
  return isUsable(names, names, model);
}

/** Whether the model's names can be matched with the data set's. */
function isUsable(names: readonly string[], classes: readonly string[], model: ModelClasses): boolean {
  const { named, isCertain, count } = model;
  if (named === undefined) return false;
  const labelsOf = labelsByName(named.names);
  if (isCertain || names.some((name) => labelsOf(name).length > 0)) return true;
  if (areNumbers(named.names)) return false;
  // The words name the same classes as the ids; every model trained on such folders has them in the same order.
  return !(classes.every(isWordnetId) && classes.length === count && !named.names.some(isWordnetId));
}

function isWordnetId(name: string): boolean {
  return /^n\d{8}$/.test(name);
}

function requireCount({ classes }: Dataset, model: ModelClasses, where: string): void {
  if (classes.length === model.count) return;
  const which = model.named === undefined ? 'does not name them' : 'has other names';
  throw new InputError(
    `${where} has ${classes.length} ${classes.length === 1 ? 'class' : 'classes'}, but the model has ${model.count}, and the checkpoint ${which}`,
    {
      hint:
        'Name the classes with --classes: a file of their names in label order, the run, or the ' +
        'images that it was trained on; or --classes number if folders are named by their label (9, 9_boot).',
    },
  );
}

function orderAssumed(dataset: Dataset, model: ModelClasses, where: string): string {
  requireCount(dataset, model, where);
  const { classes } = dataset;
  const why =
    model.named === undefined
      ? 'the checkpoint does not name its classes'
      : `${model.named.from} has other names: ${listed(model.named.names, 2)}`;
  const isText = classes.some((name, label) => /^\d+$/.test(name) && Number(name) !== label);
  const sorted = isText && classes.every((name) => /^\d+$/.test(name)) ? ', sorted as text' : '';
  return `labels follow the classes of ${where}${sorted}: ${numbered(classes)} (${why})`;
}

function numbersAssumed({ named }: ModelClasses, where: string): string[] {
  if (named === undefined || areNumbers(named.names)) return [];
  return [`the numeric labels of ${where} are the model's: ${numbered(named.names)}`];
}

function byNumber(
  classes: readonly string[],
  used: readonly number[],
  count: number,
  where: string,
): number[] {
  const labels = classes.map(() => -1);
  const taken = new Map<number, string>();
  for (const label of used) {
    const name = classes[label];
    const number = numberInFront(name);
    if (!(number < count)) {
      throw new InputError(`${where}: ${name} does not begin with a label below ${count}`, {
        hint: 'With --classes number, each folder is named by its label, starting at 0: 9 or 9_boot.',
      });
    }
    const other = taken.get(number);
    if (other !== undefined) {
      throw new InputError(`${where}: folders ${other} and ${name} both have label ${number}`, {
        hint: 'Each class needs exactly one folder.',
      });
    }
    taken.set(number, name);
    labels[label] = number;
  }
  return labels;
}

/** The labels that have images, ascending. */
function usedLabels(dataset: Dataset): number[] {
  const has = new Uint8Array(dataset.classes.length);
  for (let i = 0; i < dataset.length; i++) has[dataset.label(i)] = 1;
  return [...has.keys()].filter((label) => has[label] === 1);
}

function namesByLabel({ classes, isUnnamed }: Dataset, labels: readonly number[], count: number): string[] {
  const names = numberNames(count);
  if (isUnnamed) return names;
  for (const [label, name] of classes.entries())
    if (labels[label] >= 0) names[labels[label]] = className(name);
  return names;
}
