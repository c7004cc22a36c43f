import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../base/errors.js';
import { absent } from './absent.js';
import type { Dataset } from './dataset.js';
import { folderContent, imagesUnder } from './folder-scan.js';
import { classLabels, type KnownClasses, labelOfName, numberNames } from './labels.js';
import { type NameList, nameListBuilder } from './name-list.js';

export interface FolderOptions {
  /** A class may be without images. Default: that is an error. */
  readonly emptyClasses?: boolean;
}

/**
 * A folder of PNG and JPEG images, decoded to RGB when asked for. Two layouts:
 * - `<class>/<image>`, torchvision's: one sub-folder a class, labels in their sorted order (see `classLabels`);
 *   images may lie deeper within a class;
 * - `<anything>_y<label>.<ext>`: no sub-folders, labels in the names.
 *
 * Hidden files, and files that are not named as images, are passed over. An image takes the bytes of its
 * name and eight more.
 *
 * @throws InputError if there is no such folder, a class has no image, or labels cannot be told.
 *
 * @example
 * const images = imageFolder('images/train');
 * console.log(images.length, images.describe(0), images.classes[images.label(0)]);
 */
export function imageFolder(root: string, known: KnownClasses = {}, options: FolderOptions = {}): Dataset {
  const { folders, images } = folderContent(root);
  if (folders.length === 0) return flatFolder(root, images, known);

  const { labels, classes } = classLabels(root, folders, known);
  const names = nameListBuilder();
  const ends = folders.map((folder) => {
    const path = join(root, folder);
    const found = imagesUnder(path);
    if (found.length === 0 && !options.emptyClasses) {
      throw new InputError(`${path} holds no PNG or JPEG image`, {
        hint: 'Every sub-folder is a class and needs images: add some, or remove the folder.',
      });
    }
    for (const image of found) names.add(image);
    return names.length;
  });
  return classFolders(root, { folders, ends, labels, names: names.build() }, classes);
}

interface Scan {
  readonly folders: readonly string[];
  /** Of each folder: how many images it and those before it have. */
  readonly ends: readonly number[];
  readonly labels: readonly number[];
  /** Of all images, folder after folder. */
  readonly names: NameList;
}

function classFolders(
  root: string,
  { folders, ends, labels, names }: Scan,
  classes: readonly string[],
): Dataset {
  const folderOf = new Int32Array(names.length);
  for (const [i, end] of ends.entries()) folderOf.fill(i, i === 0 ? 0 : ends[i - 1], end);
  const path = (i: number) => join(root, folders[folderOf[i]], names.at(i));
  return {
    length: names.length,
    classes,
    label: (i) => labels[folderOf[i]],
    describe: path,
    source: (i) => ({ file: path(i) }),
  };
}

/**
 * A pair of image folders, `train` and `val` (or `validation`, or `test`), in `root`. The classes are
 * those of `train`.
 *
 * @throws InputError as `imageFolder`, and if `val` has a class that `train` has not.
 *
 * @example
 * const { train, val } = imageFolders('images');
 * console.log(train.length, val.length);
 */
export function imageFolders(root: string, known: KnownClasses = {}): { train: Dataset; val: Dataset } {
  const { train: trainFolder, val } = folderParts(root);
  if (val === undefined || trainFolder === undefined) {
    const missing = trainFolder === undefined ? 'train' : 'val (or validation, or test)';
    const what = existsSync(root) ? `${root} has no sub-folder ${missing}` : absent(root);
    throw new InputError(what, { hint: 'Give a folder with train/<class>/* and val/<class>/*.' });
  }
  const train = imageFolder(trainFolder, known);
  return { train, val: imageFolder(val, { classes: train.classes }) };
}

/**
 * The images to evaluate a model on: those of `dir`'s validation folder if it has one, else of
 * `dir` itself.
 *
 * @throws InputError as `imageFolder`, and if the classes do not fit the model's.
 *
 * @example
 * const val = evalFolder('images', 2);
 * val.classes; // the names of images/val's folders
 */
export function evalFolder(dir: string, modelClasses: number, classes?: readonly string[]): Dataset {
  return imageFolder(folderParts(dir).val ?? dir, { classes, modelClasses });
}

/**
 * The parts that a folder has: `train`, and `val` or else `validation` or `test`. None where it has neither `train`
 * nor `val`: then `test` is a class.
 */
export function folderParts(root: string): { train?: string; val?: string } {
  const [train, val, ...others] = ['train', 'val', 'validation', 'test'].map((name) => {
    const path = join(root, name);
    return existsSync(path) ? path : undefined;
  });
  if (train === undefined && val === undefined) return {};
  return { train, val: val ?? others.find((path) => path !== undefined) };
}

/** Whether a folder, or its train or val, has sub-folders of images. */
export function holdsClasses(root: string): boolean {
  const { train, val } = folderParts(root);
  const part = train ?? val ?? root;
  return folderContent(part).folders.some((name) => folderContent(join(part, name)).images.length > 0);
}

function flatFolder(root: string, images: readonly string[], known: KnownClasses): Dataset {
  if (images.length === 0) throw new InputError(`${root} holds no PNG or JPEG image`, { hint: LAYOUTS });
  const { classes: names, modelClasses = names?.length } = known;
  const labels = images.map((image) => {
    const label = labelOfName(image);
    if (label === undefined) throw withoutLabel(root, image);
    if (modelClasses !== undefined && label >= modelClasses) {
      throw new InputError(`${join(root, image)}: label ${label}, but there are ${modelClasses} classes`, {
        hint: 'Labels go from 0 to the number of classes - 1.',
      });
    }
    return label;
  });
  const count = modelClasses ?? labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  return {
    length: images.length,
    classes: names ?? numberNames(count),
    label: (i) => labels[i],
    describe: (i) => join(root, images[i]),
    source: (i) => ({ file: join(root, images[i]) }),
  };
}

const LAYOUTS = 'Give one sub-folder a class, or images named <anything>_y<label>.png (or .jpg).';

function withoutLabel(root: string, image: string): InputError {
  if (/^ILSVRC2012_val_\d+\.jpe?g$/i.test(image)) {
    return new InputError(`${root}: ImageNet's validation images lie here without their classes`, {
      hint:
        'Move each into a folder named as its class is in train (n01440764 ...), as torchvision has it: ' +
        'the script valprep.sh that many repositories hold does so.',
    });
  }
  return new InputError(`${join(root, image)}: its name tells no label`, { hint: LAYOUTS });
}
