import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { absent, shownName } from '../../files/file-names.js';
import { labelOfName } from '../class-names.js';
import { type PassedOver, passedOverTally } from '../passed-over.js';
import { namesOfSplit, SPLITS, type Split, splitOfName } from '../splits.js';
import { folderContent } from './folder-scan.js';

/** The division of a folder of images into parts. */
export interface FolderLayout {
  /** The folder of each part that exists; undefined if the folder is not divided, so that its folders are classes. */
  readonly parts: Readonly<Partial<Record<Split, string>>> | undefined;
  /** Content of the folder other than the parts. */
  readonly passedOver: readonly PassedOver[];
}

/**
 * Determines whether a folder is divided into parts or has class folders; classes may also be named `train`, `val` or `test`.
 * The content decides: the folder of a part has class folders (or images named `*_y<label>`), the folder of a class has images.
 *
 * @throws InputError if the content is ambiguous, or a part has two folders.
 */
export function folderLayout(root: string): FolderLayout {
  requireFolder(root);
  const tally = passedOverTally();
  const { folders, images } = folderContent(root, { onPassedOver: tally.add });
  const named = folders.flatMap((name) => {
    const split = splitOfName(name);
    return split === undefined ? [] : [{ name, split }];
  });
  const others = folders.filter((name) => splitOfName(name) === undefined);
  if (named.length === 0 || !isDivided(root, named, others)) return { parts: undefined, passedOver: [] };

  for (const name of others) tally.add('folders that are not splits', join(root, name));
  for (const name of images) tally.add('images next to the splits', join(root, name));
  const parts: Partial<Record<Split, string>> = {};
  for (const split of SPLITS) {
    const [first, second] = named.filter((each) => each.split === split);
    if (second !== undefined) throw twoFolders(root, split, [first.name, second.name]);
    if (first !== undefined) parts[split] = join(root, first.name);
  }
  return { parts, passedOver: tally.list() };
}

/**
 * The folder of a part.
 *
 * @throws InputError if it is missing.
 */
export function folderOfSplit(root: string, layout: FolderLayout, split: Split): string {
  const path = layout.parts?.[split];
  if (path === undefined) throw withoutPart(root, layout, split);
  return path;
}

/** Whether a folder, or one of its parts, has sub-folders of images. */
export function holdsClasses(root: string): boolean {
  const { folders } = folderContent(root);
  const parts = folders.filter((name) => splitOfName(name) !== undefined).map((name) => join(root, name));
  return [root, ...parts].some((part) =>
    folderContent(part).folders.some((name) => folderContent(join(part, name)).images.length > 0),
  );
}

interface Named {
  readonly name: string;
  readonly split: Split;
}

/**
 * Content of a folder that is named like a part. `part`: only folders, or labelled images; `class`: only images; `either`:
 * folders and images.
 */
type Look = 'part' | 'class' | 'either' | 'empty';

function lookOf(path: string): Look {
  const { folders, images } = folderContent(path);
  if (folders.length > 0) return images.length === 0 ? 'part' : 'either';
  if (images.length === 0) return 'empty';
  return images.every((image) => labelOfName(image) !== undefined) ? 'part' : 'class';
}

/** @throws InputError if the content is ambiguous */
function isDivided(root: string, named: readonly Named[], others: readonly string[]): boolean {
  const looks = named.map((each) => ({ ...each, look: lookOf(join(root, each.name)) }));
  const of = (...wanted: Look[]) => looks.filter(({ look }) => wanted.includes(look));
  const parts = new Set(of('part').map(({ split }) => split));
  if (parts.size > 1) return true;
  const classes = others.filter((name) => looksLikeClass(join(root, name)));
  if (of('part', 'either').length > 0) {
    if (classes.length === 0) return true;
    throw undecided(
      root,
      `${listOf(of('part', 'either').map(({ name }) => name))} may be splits, or classes like ${listOf(classes)}`,
    );
  }
  const direct = of('class').map(({ name }) => name);
  if (direct.length === 0) return classes.length === 0;
  if (classes.length > 0) return false;
  throw undecided(root, `${listOf(direct)} may be classes, or splits whose images have no class folders`);
}

function looksLikeClass(path: string): boolean {
  const { folders, images } = folderContent(path);
  return images.length > 0 || folders.some((name) => folderContent(join(path, name)).images.length > 0);
}

function listOf(names: readonly string[]): string {
  const shown = names.slice(0, 3).map(shownName);
  return names.length > shown.length ? `${shown.join(', ')}, ...` : shown.join(' and ');
}

function undecided(root: string, what: string): InputError {
  return new InputError(`${shownName(root)}: ${what}`, {
    hint:
      'Splits need class folders: train/<class>/*, val/<class>/*. Name the folder of one split, or use ' +
      '`--split all` if all folders are classes.',
  });
}

function twoFolders(root: string, split: Split, names: readonly string[]): InputError {
  return new InputError(`${shownName(root)} has two folders for the split ${split}: ${names.join(' and ')}`, {
    hint: 'Rename one of them, or name the intended folder directly.',
  });
}

function withoutPart(root: string, { parts }: FolderLayout, split: Split): InputError {
  const has =
    parts === undefined
      ? 'it has no splits'
      : `it has ${Object.keys(parts).join(' and ')}${parts.test === undefined ? '' : '; test is read only if requested'}`;
  return new InputError(`${shownName(root)} has no folder named ${namesOfSplit(split)}: ${has}`, {
    hint: [hintFor(split), parts === undefined || split === 'val' ? HOLD_OUT : ''].join(' ').trim(),
  });
}

function hintFor(split: Split): string {
  const name = 'name the folder that directly contains the images';
  return split === 'val'
    ? `Add val/<class>/*, ${name}, or choose --split train or --split test.`
    : `Add ${split}/<class>/*, or ${name}.`;
}

const HOLD_OUT =
  'A recipe can instead take validation images out of the training images: `data.split: { val: 0.1 }`.';

function requireFolder(root: string): void {
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory()) return;
  throw new InputError(existsSync(root) ? `${root} is not a folder` : absent(root), {
    hint: 'Name a folder with train/<class>/* and val/<class>/*.',
  });
}
