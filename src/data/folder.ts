import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, InputError } from '../base/errors.js';
import type { Dataset } from './dataset.js';
import { IMAGE_FILE } from './decode.js';
import { classLabels, type KnownClasses, labelOfName } from './labels.js';

/**
 * A folder of PNG and JPEG images, decoded to RGB when asked for. Two layouts:
 * - `<class>/<image>`: one sub-folder a class, labels in their sorted order (see `classLabels`);
 * - `<anything>_y<label>.<ext>`: no sub-folders, labels in the names.
 *
 * Hidden files, and files that are not named as images, are passed over.
 *
 * @throws InputError if there is no such folder, a class has no image, or labels cannot be told.
 */
export function imageFolder(root: string, known: KnownClasses = {}): Dataset {
  const entries = list(root);
  const folders = entries.filter((entry) => isFolder(root, entry)).map((entry) => entry.name);
  if (folders.length === 0) return flatFolder(root, imagesOf(entries), known);

  const { labels: labelOf, classes } = classLabels(root, folders, known);
  const files: string[] = [];
  const labels: number[] = [];
  folders.forEach((folder, at) => {
    const path = join(root, folder);
    const images = imagesOf(list(path));
    if (images.length === 0) {
      throw new InputError(`${path} holds no PNG or JPEG image`, {
        hint: 'Every sub-folder is a class and needs images: add some, or remove the folder.',
      });
    }
    for (const image of images) {
      files.push(join(folder, image));
      labels.push(labelOf[at]);
    }
  });
  return fileDataset(root, files, labels, classes);
}

/**
 * A pair of image folders, `train` and `val` (or `validation`, or `test`), in `root`. The classes are
 * those of `train`.
 *
 * @throws InputError as `imageFolder`, and if `val` has a class that `train` has not.
 */
export function imageFolders(root: string, known: KnownClasses = {}): { train: Dataset; val: Dataset } {
  const val = validationFolder(root);
  if (val === undefined || !existsSync(join(root, 'train'))) {
    const missing = val === undefined ? 'val (or validation, or test)' : 'train';
    const what = existsSync(root) ? `${root} has no sub-folder ${missing}` : `${root} does not exist`;
    throw new InputError(what, { hint: 'Give a folder with train/<class>/* and val/<class>/*.' });
  }
  const train = imageFolder(join(root, 'train'), known);
  return { train, val: imageFolder(val, { classes: train.classes }) };
}

/**
 * The images to evaluate a model on: those of `dir`'s validation folder if it has one, else of
 * `dir` itself.
 *
 * @throws InputError as `imageFolder`, and if the classes do not fit the model's.
 */
export function evalFolder(dir: string, modelClasses: number, classes?: readonly string[]): Dataset {
  const isPair = existsSync(join(dir, 'val')) || existsSync(join(dir, 'train'));
  return imageFolder((isPair ? validationFolder(dir) : undefined) ?? dir, { classes, modelClasses });
}

function validationFolder(root: string): string | undefined {
  return ['val', 'validation', 'test'].map((name) => join(root, name)).find((path) => existsSync(path));
}

function flatFolder(root: string, files: string[], known: KnownClasses): Dataset {
  const layouts = 'Give one sub-folder a class, or images named <anything>_y<label>.png (or .jpg).';
  if (files.length === 0) throw new InputError(`${root} holds no PNG or JPEG image`, { hint: layouts });
  const { classes: names, modelClasses = names?.length } = known;
  const labels = files.map((file) => {
    const label = labelOfName(file);
    if (label === undefined)
      throw new InputError(`${join(root, file)}: its name tells no label`, { hint: layouts });
    if (modelClasses !== undefined && label >= modelClasses) {
      throw new InputError(`${join(root, file)}: label ${label}, but there are ${modelClasses} classes`, {
        hint: 'Labels go from 0 to the number of classes - 1.',
      });
    }
    return label;
  });
  const count = modelClasses ?? labels.reduce((most, label) => Math.max(most, label), 0) + 1;
  return fileDataset(root, files, labels, names ?? Array.from({ length: count }, (_, i) => String(i)));
}

function fileDataset(root: string, files: string[], labels: number[], classes: readonly string[]): Dataset {
  return {
    length: files.length,
    classes,
    label: (i) => labels[i],
    describe: (i) => join(root, files[i]),
    source: (i) => ({ file: join(root, files[i]) }),
  };
}

/** The entries of a folder that are not hidden, sorted by name. */
function list(folder: string): Dirent[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries
      .filter((entry) => !entry.name.startsWith('.'))
      .sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  } catch (error) {
    throw new InputError(`${folder}: cannot be read as a folder of images (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}

function imagesOf(entries: readonly Dirent[]): string[] {
  return entries
    .filter((entry) => !entry.isDirectory() && IMAGE_FILE.test(entry.name))
    .map((entry) => entry.name);
}

function isFolder(root: string, entry: Dirent): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  return statSync(join(root, entry.name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}
