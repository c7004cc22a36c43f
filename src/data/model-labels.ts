import { InputError } from '../base/errors.js';
import {
  areNumbers,
  className,
  labelsAmong,
  labelsByName,
  listed,
  type NamedClasses,
  numbered,
  sameClasses,
} from './class-names.js';
import type { Dataset } from './dataset.js';
import { numberInFront, numberNames } from './labels.js';

/** What is known of the classes that a model tells apart. */
export interface ModelClasses {
  /** How many. */
  readonly count: number;
  /** Their names; absent where nothing gives them. */
  readonly named?: NamedClasses | undefined;
  /** The names were written by a run, or given by the user: they are the names of its training images. */
  readonly isCertain?: boolean;
  /** Folders are named by their labels: `9`, `9_boot`. */
  readonly byNumber?: boolean;
  /** What to do about names that the model does not know. Default: state them with `--classes`. */
  readonly whatToDo?: string;
}

/** Images whose labels are those of a model. */
export interface ModelImages {
  readonly dataset: Dataset;
  /** What was assumed of the labels, in short texts. */
  readonly assumptions: readonly string[];
  /** Names of the model's classes that have no image. */
  readonly missing: readonly string[];
}

/**
 * Gives images the labels of a model.
 * - Where both name their classes, a class has the label of its name. It may be that some have no image.
 * - Where the model names none, the labels of the data set are taken, which is said. So it is where the folders are
 *   named by WordNet ids (`n01440764`) and the model's names are words.
 * - Where the data set names none, its labels are the model's: they are numbers.
 *
 * @param where the data set, for messages
 * @throws InputError that lists names that the model does not know, and where the labels cannot be known: the model names
 *   no classes, and the data set has more or fewer.
 */
export function withModelLabels(dataset: Dataset, model: ModelClasses, where: string): ModelImages {
  const used = usedLabels(dataset);
  const { labels, assumptions } = labelling(dataset, used, model, where);
  const top = used.find((label) => !(labels[label] < model.count));
  if (top !== undefined) {
    throw new InputError(`${where} has label ${labels[top]}, the model has ${model.count} classes`, {
      hint: 'Labels go from 0 to the number of classes - 1.',
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
  /** The model's label for each of the data set's. */
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
  `If ${where} has the model's classes under other names, list them in a file, in the order of the labels, and give it with --classes.`;

/**
 * Whether the names of a model's classes tell the labels of a data set.
 * @param names of the data set's classes
 */
export function saysNames(names: readonly string[], model: ModelClasses): boolean {
  return isUsable(names, names, model);
}

/** Whether the model's names say anything of the data set's. */
function isUsable(names: readonly string[], classes: readonly string[], model: ModelClasses): boolean {
  const { named, isCertain, count } = model;
  if (named === undefined) return false;
  const labelsOf = labelsByName(named.names);
  if (isCertain || names.some((name) => labelsOf(name).length > 0)) return true;
  if (areNumbers(named.names)) return false;
  // Ids stand for classes whose names are words; their order is the same for all who trained on such folders.
  return !(classes.every(isWordnetId) && classes.length === count && !named.names.some(isWordnetId));
}

function isWordnetId(name: string): boolean {
  return /^n\d{8}$/.test(name);
}

function requireCount({ classes }: Dataset, model: ModelClasses, where: string): void {
  if (classes.length === model.count) return;
  const which = model.named === undefined ? 'does not name them' : 'has other names';
  throw new InputError(
    `${where} has ${classes.length} ${classes.length === 1 ? 'class' : 'classes'}, the model ${model.count}, and the checkpoint ${which}`,
    {
      hint:
        'Say which they are: --classes with a file of their names in the order of the labels, with the run, or with the ' +
        'images that it was trained on; --classes number where folders are named by their label (9, 9_boot).',
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
  return `labels in the order of the classes of ${where}${sorted}: ${numbered(classes)} (${why})`;
}

function numbersAssumed({ named }: ModelClasses, where: string): string[] {
  if (named === undefined || areNumbers(named.names)) return [];
  return [`the labels of ${where}, which are numbers, are those of the model: ${numbered(named.names)}`];
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
        hint: 'With --classes number each folder is named by its label, from 0 on: 9 or 9_boot.',
      });
    }
    const other = taken.get(number);
    if (other !== undefined) {
      throw new InputError(`${where}: folders ${other} and ${name} both have label ${number}`, {
        hint: 'Give each class one folder.',
      });
    }
    taken.set(number, name);
    labels[label] = number;
  }
  return labels;
}

/** The labels that images have, ascending. */
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
