import { join } from 'node:path';
import { InputError } from '../base/errors.js';
import { sortedNames } from '../files/file-names.js';

/** Class names by label, and their source. */
export interface NamedClasses {
  readonly names: readonly string[];
  /** The source, as shown in messages, e.g. `runs/demo/FT` or `vit/config.json`. */
  readonly from: string;
}

/** The form in which class names are compared and recorded: Unicode NFC. Some file systems return NFD. */
export function className(name: string): string {
  return name.normalize('NFC');
}

/** Whether two lists name the same classes in the same order. */
export function sameClasses(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((name, label) => className(name) === className(b[label]));
}

/** Whether the name of each class is only its label: `0`, `1`, ... */
export function areNumbers(names: readonly string[]): boolean {
  return names.every((name, label) => name === String(label));
}

/** The labels of each name in a list; more than one if the list repeats the name. */
export function labelsByName(names: readonly string[]): (name: string) => readonly number[] {
  const labels = new Map<string, number[]>();
  for (const [label, name] of names.entries()) {
    const found = labels.get(className(name));
    if (found === undefined) labels.set(className(name), [label]);
    else found.push(label);
  }
  return (name) => labels.get(className(name)) ?? [];
}

/**
 * The label of each name among the known classes.
 *
 * @param show how messages show a name, e.g. as the path of its folder
 * @throws InputError that lists the names that are unknown or have more than one label.
 */
export function labelsAmong(
  names: readonly string[],
  known: NamedClasses,
  show: (name: string) => string,
  whatToDo = '',
): number[] {
  // Identical lists are valid even if they repeat names.
  if (sameClasses(names, known.names)) return names.map((_, label) => label);
  const labelsOf = labelsByName(known.names);
  const unknown = names.filter((name) => labelsOf(name).length === 0);
  if (unknown.length > 0) {
    const what = unknown.length === 1 ? 'unknown class name' : 'unknown class names';
    const classes = `The ${known.names.length} classes of ${known.from} are: ${listed(known.names)}.`;
    throw new InputError(`${listed(unknown.map(show))}: ${what}`, {
      hint: [classes, otherCase(unknown, known.names), whatToDo].filter((part) => part !== '').join(' '),
    });
  }
  return names.map((name) => {
    const [label, ...others] = labelsOf(name);
    if (others.length === 0) return label;
    throw new InputError(
      `${show(name)}: in ${known.from}, the classes ${[label, ...others].join(' and ')} have the same name`,
      { hint: whatToDo || 'Give each class a unique name.' },
    );
  });
}

/**
 * @param names not normalised, e.g. the names of the folders in `where`
 * @throws InputError if two names differ only in their Unicode normalisation.
 */
function requireDistinct(names: readonly string[], where: string): void {
  const first = new Map<string, string>();
  for (const name of names) {
    const other = first.get(className(name));
    if (other !== undefined) {
      throw new InputError(`${where}: ${ascii(other)} and ${ascii(name)} are the same class name`, {
        hint: 'They differ only in Unicode normalisation (NFC, NFD). Move the images into one folder.',
      });
    }
    first.set(className(name), name);
  }
}

/** The first few names of a list. */
export function listed(names: readonly string[], most = 5): string {
  if (names.length <= most + 1) return names.join(', ');
  return `${names.slice(0, most).join(', ')} and ${(names.length - most).toLocaleString('en-US')} more`;
}

/** The first few classes of a list, each with its label. */
export function numbered(names: readonly string[], most = 5): string {
  const shown = names.map((name, label) => `${label} = ${name}`);
  if (shown.length <= most + 2) return shown.join(', ');
  return `${shown.slice(0, most).join(', ')}, ..., ${shown[shown.length - 1]}`;
}

/** A hint if unknown names exist in a different letter case. */
function otherCase(unknown: readonly string[], known: readonly string[]): string {
  const folded = new Map(known.map((name) => [fold(name), name]));
  const pairs = unknown.flatMap((name) => {
    const other = folded.get(fold(name));
    return other === undefined ? [] : [`${name} and ${other}`];
  });
  if (pairs.length === 0) return '';
  return `Class names are case-sensitive (${listed(pairs, 3)}): if these are the same class, rename one.`;
}

function fold(name: string): string {
  return className(name).toLowerCase();
}

/** Escapes every character outside ASCII, so that names that look the same can be distinguished. */
function ascii(name: string): string {
  return JSON.stringify(name).replace(
    /[^ -~]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

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
