import { join } from 'node:path';
import { InputError } from '../base/errors.js';
import { sortedNames } from '../files/file-names.js';
import { className, labelsAmong, labelsByName, requireDistinct } from './class-names.js';

/** Facts about the classes that are known before a folder is read. */
export interface KnownClasses {
  /** Names of the classes, in the order of their labels. */
  readonly classes?: readonly string[] | undefined;
  /** Source of the names, for messages. */
  readonly from?: string | undefined;
  /** Number of classes of the model. */
  readonly modelClasses?: number | undefined;
}

/**
 * The label of each class folder (`folders`, in torchvision's order), and the names of all classes.
 * - If the class names are known, a folder has the label of its name; classes without a folder are allowed.
 * - Otherwise the label is the folder's position in sorted order, as in torchvision's `ImageFolder`. Names are sorted as text,
 *   including numbers: with folders 0 to 11, `10` is class 2. Checkpoints trained elsewhere depend on this order; use leading
 *   zeros (`00` ... `11`) to make label and number the same.
 *
 * Names are returned and sorted in Unicode NFC, so that the same images have the same labels on every file system.
 *
 * @throws InputError if the folders do not match the classes, or two differ only in Unicode normalisation.
 */
export function classLabels(
  root: string,
  folders: readonly string[],
  { classes, from = 'the given list', modelClasses }: KnownClasses,
): { labels: number[]; classes: readonly string[] } {
  requireDistinct(folders, root);
  if (classes !== undefined) {
    if (modelClasses !== undefined) requireCount(`the list of classes has`, classes.length, modelClasses);
    const show = (folder: string) => join(root, folder);
    return { labels: labelsAmong(folders, { names: classes, from }, show), classes };
  }
  if (modelClasses !== undefined) requireCount(`${root} has`, folders.length, modelClasses);
  const names = sortedNames(folders.map(className));
  const labelOf = labelsByName(names);
  return { labels: folders.map((folder) => labelOf(folder)[0]), classes: names };
}

/** Names for classes that have none: `0`, `1` ... */
export function numberNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i));
}

/** The label in the name of an image, `<anything>_y<label>.<ext>`. */
export function labelOfName(file: string): number | undefined {
  const digits = /_y(\d{1,6})\.\w+$/.exec(file)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

/** `9` and `9_boot` give 9; a name without a leading number gives Infinity. */
export function numberInFront(name: string): number {
  const digits = /^(\d+)(?![0-9A-Za-z])/.exec(name)?.[1];
  return digits === undefined ? Number.POSITIVE_INFINITY : Number(digits);
}

function requireCount(what: string, count: number, modelClasses: number): void {
  if (count === modelClasses) return;
  throw new InputError(`${what} ${count} classes, but the model has ${modelClasses}`, {
    hint: `Set \`model.classes: ${count}\` in the recipe, or use images of ${modelClasses} classes.`,
  });
}
