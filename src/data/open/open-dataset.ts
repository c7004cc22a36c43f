import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { absent } from '../../files/file-names.js';
import { cacheRoot } from '../../files/home.js';
import { listed } from '../class-names.js';
import type { Dataset } from '../dataset.js';
import { ade20k, ade20kFolder } from '../formats/ade20k.js';
import { cifar, cifarFolder } from '../formats/cifar.js';
import { coco, cocoPart, holdsCoco } from '../formats/coco.js';
import { csvClasses, csvPair, csvPart, csvTraining } from '../formats/csv.js';
import { isCsvPath } from '../formats/csv-table.js';
import { evalImages, folderClasses, imageFolders, trainFolder } from '../formats/folder.js';
import { holdsClasses } from '../formats/folder-layout.js';
import type { Category, DataFormat } from '../formats/formats.js';
import { fashionMnist } from '../formats/idx.js';
import { inaturalist } from '../formats/inaturalist.js';
import { holdsShards, shardLayout, shards } from '../formats/shards.js';
import { type ModelClasses, type ModelImages, withModelLabels } from '../model-labels.js';
import type { SplitChoice } from '../splits.js';
import { type HoldOut, holdOut } from './hold-out.js';

export interface OpenDatasetOptions {
  readonly format: DataFormat;
  /** Folder of the data set, or its CSV file. Optional for Fashion-MNIST, which the setup downloads. */
  readonly path?: string | undefined;
  /** Number of classes of the model. */
  readonly modelClasses?: number | undefined;
  /** Names of the model's classes, in the order of their labels. Images get the label of their class name. */
  readonly classes?: readonly string[] | undefined;
  /** Source of the names, for messages. */
  readonly from?: string | undefined;
  /** Hint for names that are not among them, for messages. */
  readonly whatToDo?: ((classesOfImages: number) => string) | undefined;
  /** Category by which iNaturalist images are classified. Default: `name`. */
  readonly category?: Category | undefined;
  /** Part of a folder or of shards that is used for evaluation. Default: `val`. */
  readonly evalSplit?: 'val' | 'test' | undefined;
  /** Takes the validation images out of the training images. The data set's own validation images are then not read. */
  readonly split?: HoldOut | undefined;
}

/** Both parts of a data set. They have the same classes. */
export interface DatasetPair {
  readonly train: Dataset;
  readonly val: Dataset;
  /** The data set's own evaluation images that are not read because `val` was taken out of the training images. */
  readonly unread?: string | undefined;
}

/**
 * @throws InputError if the images are missing or damaged, or the number of classes differs from the model's.
 *
 * @example
 * const { train, val } = openDataset({ format: 'folder', path: 'images', modelClasses: 2 });
 * console.log(train.length, val.length);
 */
export function openDataset(options: OpenDatasetOptions): DatasetPair {
  const { format, path, modelClasses } = options;
  const folder = path ?? (format === 'fashion-mnist' ? join(cacheRoot(), 'fashion-mnist') : undefined);
  if (folder === undefined) {
    throw new InputError(`a data set of format ${format} needs a path`, { hint: 'Set data.path.' });
  }
  const { classes } = options;
  if (classes !== undefined) return pairOfClasses(folder, { ...options, classes });
  const pair = openPair(folder, options);
  requireClasses(pair.train, folder, modelClasses);
  return pair;
}

/** Some classes may have no images. A data set without class names must have exactly as many classes. */
function pairOfClasses(
  folder: string,
  options: OpenDatasetOptions & { readonly classes: readonly string[] },
): DatasetPair {
  const { classes, from = 'the given list', whatToDo } = options;
  const modelClasses = classes.length;
  const pair = openPair(folder, { ...options, modelClasses: undefined });
  if (pair.train.isUnnamed) {
    const { train, val, unread } = openPair(folder, { ...options, modelClasses });
    requireClasses(train, folder, modelClasses);
    const named = (dataset: Dataset) => ({ ...dataset, classes, isUnnamed: false });
    return { train: named(train), val: named(val), unread };
  }
  const model = {
    count: modelClasses,
    named: { names: classes, from },
    isCertain: true,
    whatToDo: whatToDo?.(pair.train.classes.length) ?? 'Rename the classes, or correct the list.',
  };
  return {
    train: withModelLabels(pair.train, model, 'the training images').dataset,
    val: withModelLabels(pair.val, model, 'the validation images').dataset,
    unread: pair.unread,
  };
}

type OpenPairOptions = Omit<OpenDatasetOptions, 'path'>;

function openPair(folder: string, options: OpenPairOptions): DatasetPair {
  const { split, format } = options;
  if (split === undefined) return publishedPair(folder, options);
  const { train, unread } = trainingImages(folder, options);
  return { ...holdOut(train, split, { format, path: folder }), unread };
}

/** The parts into which the data set itself is divided. */
function publishedPair(folder: string, options: OpenPairOptions): DatasetPair {
  const { format, modelClasses, category, evalSplit = 'val' } = options;
  switch (format) {
    case 'fashion-mnist':
      return fashionMnist(folder);
    case 'folder':
      return imageFolders(folder, { modelClasses }, { evalSplit });
    case 'shards': {
      const train = trainingShards(folder, 'train', options);
      const val = shards(folder, evalSplit, { classes: train.classes });
      return { train, val: { ...val, isUnnamed: train.isUnnamed } };
    }
    case 'csv':
      return csvPair(folder, { classes: options.classes, modelClasses, evalSplit });
    case 'cifar-10':
    case 'cifar-100':
      return { train: cifar(folder, format, 'train'), val: cifar(folder, format, 'val') };
    case 'inaturalist-2018':
    case 'inaturalist-2019':
      return inaturalist(folder, { year: yearOf(format), category });
    case 'ade20k':
      return ade20k(folder);
    case 'coco':
      return coco(folder);
  }
}

/** The training images only, and the name of the data set's own evaluation images, which are not opened. */
function trainingImages(folder: string, options: OpenPairOptions): Pick<DatasetPair, 'train' | 'unread'> {
  const { format, modelClasses, category } = options;
  switch (format) {
    case 'fashion-mnist':
      return { train: fashionMnist(folder).train, unread: 'the test images' };
    case 'folder':
      return trainFolder(folder, { modelClasses });
    case 'shards': {
      const { parts } = shardLayout(folder);
      const isDivided = Object.keys(parts).length > 0;
      const unread = [...(parts.val ?? []), ...(parts.test ?? [])];
      return {
        train: trainingShards(folder, isDivided ? 'train' : 'all', options),
        unread: unread.length === 0 ? undefined : listed(unread, 3),
      };
    }
    case 'csv':
      return csvTraining(folder, { classes: options.classes, modelClasses });
    case 'cifar-10':
    case 'cifar-100':
      return { train: cifar(folder, format, 'train'), unread: 'the test images' };
    case 'inaturalist-2018':
    case 'inaturalist-2019': {
      const year = yearOf(format);
      return { train: inaturalist(folder, { year, category }).train, unread: `val${year}.json` };
    }
    case 'ade20k':
      return { train: ade20k(folder).train, unread: 'the validation images' };
    case 'coco':
      return { train: cocoPart(folder, 'train'), unread: 'the validation images' };
  }
}

function trainingShards(
  folder: string,
  part: 'train' | 'all',
  { modelClasses, classes, from = 'the given list' }: OpenPairOptions,
): Dataset {
  return shards(folder, part, { modelClasses }, { otherwise: classes && { names: classes, from } });
}

export interface OpenEvalOptions {
  readonly model: ModelClasses;
  /** Category by which iNaturalist images are classified. Default: `name`. */
  readonly category?: Category | undefined;
  /** Default: `val`, or all images if the data set is not divided. `all`: all images, regardless of folder names. */
  readonly split?: SplitChoice | undefined;
  /** Opens the images that a run with this split has held out of the training images, instead of a part. */
  readonly heldOut?: HoldOut | undefined;
}

/**
 * Opens the images to evaluate a model on, with the model's labels: one part, or all images if a folder has no parts. The
 * format is detected from the content of the folder.
 *
 * @throws InputError as `openDataset` and `withModelLabels`, and if the part is missing.
 */
export function openEvalDataset(dir: string, options: OpenEvalOptions): ModelImages {
  const format = dataFormatOf(dir);
  const { heldOut: split, model, category } = options;
  const { names: classes, from } = model.named ?? {};
  const dataset =
    split === undefined
      ? openEval(format, dir, options)
      : openPair(dir, { format, category, split, classes, from }).val;
  return withModelLabels(dataset, model, dir);
}

export type OpenPartOptions = Pick<OpenEvalOptions, 'category' | 'split' | 'heldOut'>;

/**
 * Opens one part of a data set, or all of it, with its own labels: those of its training part, if it has one. The format is
 * detected from the content of the folder.
 *
 * @throws InputError as `openDataset`, and if the part is missing.
 */
export function openPart(dir: string, { heldOut, category, split }: OpenPartOptions): Dataset {
  const format = dataFormatOf(dir);
  if (heldOut !== undefined) return openPair(dir, { format, category, split: heldOut }).val;
  return openEval(format, dir, { model: {}, category, split });
}

/**
 * The class names of a data set by label, from its training part if it has one.
 *
 * @throws InputError as `openDataset`.
 */
export function classesOfData(
  dir: string,
  options: Pick<OpenEvalOptions, 'model' | 'category'>,
): readonly string[] {
  const format = dataFormatOf(dir);
  if (format === 'csv') return csvClasses(dir);
  return format === 'folder' ? folderClasses(dir) : openEval(format, dir, options).classes;
}

type OpenOwnOptions = Omit<OpenEvalOptions, 'model'> & { readonly model: Partial<ModelClasses> };

function openEval(
  format: DataFormat,
  dir: string,
  { model: { count: modelClasses, named }, category, split }: OpenOwnOptions,
): Dataset {
  switch (format) {
    case 'folder':
      return evalImages(dir, modelClasses, split);
    case 'shards':
      return shards(dir, split ?? 'val', { modelClasses }, { otherwise: named });
    case 'csv':
      return csvPart(dir, split, { classes: named?.names, modelClasses });
    case 'cifar-10':
    case 'cifar-100':
      return cifar(dir, format, publishedPart(dir, split, format));
    default:
      return openPair(dir, { format, modelClasses, category })[publishedPart(dir, split, format)];
  }
}

/** The chosen part of a published data set with two parts. For CIFAR and Fashion-MNIST, `val` is the test set. */
export function publishedPart(dir: string, split: SplitChoice = 'val', format: DataFormat): 'train' | 'val' {
  const hasTest = !format.startsWith('inaturalist') && format !== 'ade20k' && format !== 'coco';
  if (split === 'train' || split === 'val') return split;
  if (split === 'test' && hasTest) return 'val';
  throw new InputError(`${dir}: ${format} has no split ${split}`, {
    hint: `Choose --split train, val${hasTest ? ' or test (the same images)' : ''}.`,
  });
}

/**
 * Detects the format of the data set in a folder, or in a CSV file.
 *
 * @throws InputError if it does not exist, or has more than one data set.
 */
export function dataFormatOf(dir: string): DataFormat {
  const stat = statSync(dir, { throwIfNoEntry: false });
  if (stat !== undefined && !stat.isDirectory() && isCsvPath(dir)) return 'csv';
  if (!stat?.isDirectory()) {
    throw new InputError(existsSync(dir) ? `${dir} is not a folder` : absent(dir), {
      hint: 'Name a folder of images (<class>/*, train/ and val/, tar shards, or a known data set), or a CSV file that lists images.',
    });
  }
  const has = (name: string) => existsSync(join(dir, name));
  const isThere: Readonly<Record<Exclude<DataFormat, 'folder' | 'shards' | 'csv'>, () => boolean>> = {
    'fashion-mnist': () => ['', '.gz'].some((end) => has(`t10k-images-idx3-ubyte${end}`)),
    'cifar-10': () => cifarFolder(dir, 'cifar-10') !== undefined,
    'cifar-100': () => cifarFolder(dir, 'cifar-100') !== undefined,
    'inaturalist-2018': () => has('val2018.json'),
    'inaturalist-2019': () => has('val2019.json'),
    ade20k: () => ade20kFolder(dir) !== undefined,
    coco: () => holdsCoco(dir),
  };
  const found = (Object.keys(isThere) as (keyof typeof isThere)[]).filter((format) => isThere[format]());
  if (found.length > 1) {
    throw new InputError(`${dir} contains more than one data set: ${found.join(' and ')}`, {
      hint: 'Use a separate folder for each.',
    });
  }
  // Tar files next to class folders may be the archives that the folders were unpacked from.
  return found[0] ?? (holdsShards(dir) && !holdsClasses(dir) ? 'shards' : 'folder');
}

function requireClasses({ classes }: Dataset, folder: string, modelClasses: number | undefined): void {
  if (modelClasses === undefined || classes.length === modelClasses) return;
  throw new InputError(`${folder} has ${classes.length} classes, but the model has ${modelClasses}`, {
    hint: `Set \`model.classes: ${classes.length}\` in the recipe, or use images of ${modelClasses} classes.`,
  });
}

function yearOf(format: 'inaturalist-2018' | 'inaturalist-2019'): 2018 | 2019 {
  return format === 'inaturalist-2018' ? 2018 : 2019;
}
