import { basename, join, resolve } from 'node:path';
import { InputError } from '../../base/errors.js';
import { shownName } from '../../files/file-names.js';
import { classLabels, className, type KnownClasses, labelOfName, numberNames } from '../class-names.js';
import type { Dataset } from '../dataset.js';
import { withModelLabels } from '../model-labels.js';
import { joinedPassedOver, type PassedOver, passedOverTally } from '../passed-over.js';
import { type SplitChoice, splitOfName } from '../splits.js';
import {
  type FolderLayout,
  folderContent,
  folderLayout,
  folderOfSplit,
  imagesUnder,
} from './folder-layout.js';
import { type NameList, nameListBuilder } from './name-list.js';

export interface FolderOptions {
  /** Allows classes without images. By default, they are an error. */
  readonly emptyClasses?: boolean;
}

/**
 * A folder of images, which are decoded to RGB on request. There are two layouts:
 * - `<class>/<image>`, as in torchvision: one sub-folder per class, labels in sorted order (see `classLabels`); images may also
 *   be in sub-folders of a class;
 * - `<anything>_y<label>.<ext>`: no sub-folders, labels in the names.
 *
 * Hidden files and files without image names are skipped and counted. Each image takes the bytes of its name and eight more in
 * memory.
 *
 * @throws InputError if the folder does not exist, a class has no images, or a label is missing or invalid.
 *
 * @example
 * const images = imageFolder('images/train');
 * console.log(images.length, images.describe(0), images.classes[images.label(0)]);
 */
export function imageFolder(root: string, known: KnownClasses = {}, options: FolderOptions = {}): Dataset {
  const tally = passedOverTally();
  const { folders, images } = folderContent(root, { onPassedOver: tally.add });
  if (folders.length === 0) return { ...flatFolder(root, images, known), passedOver: tally.list() };

  for (const image of images) tally.add('images next to class folders', join(root, image));
  const { labels, classes } = classLabels(root, folders.map(shownName), known);
  const names = nameListBuilder();
  const ends = folders.map((folder) => {
    const path = join(root, folder);
    const found = imagesUnder(path, tally.add);
    if (found.length === 0 && !options.emptyClasses) {
      throw new InputError(`${shownName(path)} contains no images`, {
        hint: 'Every subfolder is a class and needs images: add images, or remove the folder.',
      });
    }
    for (const image of found) names.add(image);
    return names.length;
  });
  const scan = { folders, ends, labels, names: names.build(), passedOver: tally.list() };
  return classFolders(root, scan, classes);
}

interface Scan {
  readonly folders: readonly string[];
  /** For each folder: number of images in it and all folders before it. */
  readonly ends: readonly number[];
  readonly labels: readonly number[];
  /** Names of all images, folder by folder. */
  readonly names: NameList;
  readonly passedOver: readonly PassedOver[];
}

function classFolders(
  root: string,
  { folders, ends, labels, names, passedOver }: Scan,
  classes: readonly string[],
): Dataset {
  const folderOf = new Int32Array(names.length);
  for (const [i, end] of ends.entries()) folderOf.fill(i, i === 0 ? 0 : ends[i - 1], end);
  const path = (i: number) => join(root, folders[folderOf[i]], names.at(i));
  return {
    length: names.length,
    classes,
    passedOver,
    label: (i) => labels[folderOf[i]],
    describe: (i) => shownName(path(i)),
    source: (i) => ({ file: path(i) }),
  };
}

/**
 * A pair of image folders in `root`: `train`, and `val`, `valid` or `validation`. The classes are those of `train`.
 *
 * @param evalSplit `test` evaluates on the images of `test`. Default `val`.
 * @throws InputError as `imageFolder` and `folderLayout`, and if the evaluation folder has a class that `train` does not have.
 *
 * @example
 * const { train, val } = imageFolders('images');
 * console.log(train.length, val.length);
 */
export function imageFolders(
  root: string,
  known: KnownClasses = {},
  { evalSplit = 'val' }: { readonly evalSplit?: 'val' | 'test' | undefined } = {},
): { train: Dataset; val: Dataset } {
  const layout = folderLayout(root);
  const [trainFolder, valFolder] = (['train', evalSplit] as const).map((split) =>
    folderOfSplit(root, layout, split),
  );
  const train = imageFolder(trainFolder, known);
  const val = imageFolder(valFolder, { classes: train.classes, from: shownName(trainFolder) });
  const passedOver = joinedPassedOver([
    train.passedOver,
    layout.passedOver,
    unreadParts(layout.parts, evalSplit),
  ]);
  return { train: { ...train, passedOver }, val };
}

/**
 * The training images of a folder from which the validation images are taken: those of its part `train`, or all images if it
 * is not divided.
 *
 * @returns `unread`: the folders of its other parts
 * @throws InputError as `imageFolder` and `folderLayout`, and if the folder is divided but has no part `train`.
 */
export function trainFolder(
  root: string,
  known: KnownClasses = {},
): { train: Dataset; unread: string | undefined } {
  const layout = folderLayout(root);
  if (layout.parts === undefined) return { train: imageFolder(root, known), unread: undefined };
  const train = imageFolder(folderOfSplit(root, layout, 'train'), known);
  const { val, test } = layout.parts;
  const unread = [val, test].flatMap((path) => (path === undefined ? [] : shownName(path)));
  return {
    train: { ...train, passedOver: joinedPassedOver([train.passedOver, layout.passedOver]) },
    unread: unread.length === 0 ? undefined : unread.join(' and '),
  };
}

/**
 * The images to evaluate a model on: those of a part of `dir`, or of `dir` itself if it is not divided.
 *
 * @param classes the names of the model's classes, by label; some may have no images. If absent, each class must have a folder.
 * @param split Default: `val`. `all`: the folders of `dir` are classes, regardless of their names.
 * @throws InputError as `imageFolder` and `folderLayout`, if the part is missing, and if the classes do not match the model's.
 *
 * @example
 * const val = evalFolder('images', 2);
 * val.classes; // the names of images/val's folders
 */
export function evalFolder(
  dir: string,
  modelClasses: number,
  classes?: readonly string[],
  split?: SplitChoice,
): Dataset {
  const named = classes && { names: classes, from: 'the given list' };
  const model = { count: modelClasses, named, isCertain: true };
  return withModelLabels(evalImages(dir, modelClasses, split), model, dir).dataset;
}

/**
 * As `evalFolder`, but with the data set's own labels: those of `train` if it has all of the classes, otherwise the positions
 * of the folders that exist.
 */
export function evalImages(dir: string, modelClasses: number | undefined, split?: SplitChoice): Dataset {
  if (split === 'all') return classesOfPart(dir, undefined, modelClasses);
  const layout = folderLayout(dir);
  const isPart = split === undefined || splitOfName(basename(resolve(dir))) === split;
  if (layout.parts === undefined && isPart) return classesOfPart(dir, undefined, modelClasses);
  const part = folderOfSplit(dir, layout, split ?? 'val');
  const dataset = classesOfPart(part, layout.parts?.train, modelClasses);
  return { ...dataset, passedOver: joinedPassedOver([dataset.passedOver, layout.passedOver]) };
}

/** The class names of a folder by label, from its part `train` if it has one. */
export function folderClasses(dir: string): readonly string[] {
  const { parts } = folderLayout(dir);
  return imageFolder(parts?.train ?? parts?.val ?? parts?.test ?? dir).classes;
}

function classesOfPart(part: string, train: string | undefined, modelClasses: number | undefined): Dataset {
  const { folders } = folderContent(part);
  if (folders.length === 0) return imageFolder(part, { modelClasses });
  const inTrain = train === undefined ? [] : folderContent(train).folders.map(shownName);
  const { classes } = classLabels(train ?? part, inTrain, {});
  const isKnown = new Set(classes);
  const areKnown = folders.every((name) => isKnown.has(className(shownName(name))));
  return imageFolder(part, areKnown ? { classes } : {});
}

/** The evaluation part, `val` or `test`, that is not used. */
function unreadParts(parts: FolderLayout['parts'], evalSplit: 'val' | 'test'): PassedOver[] {
  const other = evalSplit === 'val' ? 'test' : 'val';
  const path = parts?.[other];
  return path === undefined
    ? []
    : [{ reason: `split that data.eval_split did not select`, count: 1, examples: [shownName(path)] }];
}

function flatFolder(root: string, images: readonly string[], known: KnownClasses): Dataset {
  if (images.length === 0) throw new InputError(`${shownName(root)} contains no images`, { hint: LAYOUTS });
  const { classes: names, modelClasses = names?.length } = known;
  const labels = images.map((image) => {
    const label = labelOfName(image);
    if (label === undefined) throw withoutLabel(root, image);
    if (modelClasses !== undefined && label >= modelClasses) {
      throw new InputError(
        `${shownName(join(root, image))}: label ${label}, but the model has ${modelClasses} classes`,
        {
          hint: 'Labels must be from 0 to the number of classes - 1.',
        },
      );
    }
    return label;
  });
  const count = modelClasses ?? labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  return {
    length: images.length,
    classes: names ?? numberNames(count),
    isUnnamed: names === undefined,
    label: (i) => labels[i],
    describe: (i) => shownName(join(root, images[i])),
    source: (i) => ({ file: join(root, images[i]) }),
  };
}

const LAYOUTS = 'Provide one subfolder per class, or images named <anything>_y<label>.png (or .jpg).';

function withoutLabel(root: string, image: string): InputError {
  if (/^ILSVRC2012_val_\d+\.jpe?g$/i.test(image)) {
    return new InputError(`${root}: ImageNet's validation images without class folders`, {
      hint:
        'Move each image into the folder of its class, named as in train (n01440764 ...), as in torchvision: ' +
        'use the script valprep.sh, which many repositories contain.',
    });
  }
  return new InputError(`${shownName(join(root, image))}: no label in the file name`, { hint: LAYOUTS });
}
