import { join } from 'node:path';
import { InputError } from '../base/errors.js';

/** What is known of the classes before a folder is read. */
export interface KnownClasses {
  /** Names of the classes, in the order of their labels. */
  readonly classes?: readonly string[] | undefined;
  /** How many classes the model tells apart. */
  readonly modelClasses?: number | undefined;
}

/**
 * The label of each class folder (`folders`, sorted), and the names of all classes.
 * - Where the classes are known by name, a folder's label is its name's place among them; classes
 *   without a folder are allowed.
 * - Else the label is the folder's place in sorted order, as torchvision's `ImageFolder` has it. Names are sorted
 *   as text, numbers too: of folders 0 to 11, `10` is class 2. Checkpoints trained elsewhere count on it; give
 *   numbers leading zeros (`00` ... `11`) to have label and number agree.
 * - Except where the number of folders is not the model's number of classes, but each name is, or
 *   starts with, a number below it (`9`, `9_boot`): that number is the label then, so that a part of
 *   a data set can be evaluated.
 *
 * @throws InputError if the folders do not fit the classes.
 */
export function classLabels(
  root: string,
  folders: readonly string[],
  { classes, modelClasses }: KnownClasses,
): { labels: number[]; classes: readonly string[] } {
  if (classes !== undefined) {
    if (modelClasses !== undefined) requireCount(`the list of classes has`, classes.length, modelClasses);
    return { labels: placesAmong(root, folders, classes), classes };
  }
  if (modelClasses === undefined || folders.length === modelClasses) {
    return { labels: folders.map((_, i) => i), classes: folders };
  }
  const labels = folders.map(numberInFront);
  if (!labels.every((label) => label < modelClasses)) {
    requireCount(`${root} has`, folders.length, modelClasses);
  }
  return { labels, classes: namesByLabel(root, folders, labels, modelClasses) };
}

/** Names of classes that have none: `0`, `1` ... */
export function numberNames(count: number): string[] {
  return Array.from({ length: count }, (_, i) => String(i));
}

/** The label in an image's name, `<anything>_y<label>.<ext>`. */
export function labelOfName(file: string): number | undefined {
  const digits = /_y(\d{1,6})\.\w+$/.exec(file)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function placesAmong(root: string, folders: readonly string[], classes: readonly string[]): number[] {
  const places = new Map(classes.map((name, i) => [name, i]));
  return folders.map((folder) => {
    const place = places.get(folder);
    if (place !== undefined) return place;
    throw new InputError(`${join(root, folder)}: no class has this name`, {
      hint: `The ${classes.length} classes are ${classes.slice(0, 5).join(', ')}${classes.length > 5 ? ', ...' : ''}.`,
    });
  });
}

/** `9` or `9_boot` is 9; Infinity where there is no number in front. */
function numberInFront(name: string): number {
  const digits = /^(\d+)(?![0-9A-Za-z])/.exec(name)?.[1];
  return digits === undefined ? Number.POSITIVE_INFINITY : Number(digits);
}

function namesByLabel(root: string, folders: readonly string[], labels: readonly number[], count: number) {
  const names = numberNames(count);
  const taken = new Map<number, string>();
  folders.forEach((folder, i) => {
    const other = taken.get(labels[i]);
    if (other !== undefined) {
      throw new InputError(`${root}: folders ${other} and ${folder} both have label ${labels[i]}`, {
        hint: 'Give each class one folder.',
      });
    }
    taken.set(labels[i], folder);
    names[labels[i]] = folder;
  });
  return names;
}

function requireCount(what: string, count: number, modelClasses: number): void {
  if (count === modelClasses) return;
  throw new InputError(`${what} ${count} classes, the model ${modelClasses}`, {
    hint: `Give one folder a class; or, for some of the classes, folders that start with their label (9_boot).`,
  });
}
