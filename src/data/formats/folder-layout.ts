import { type Dirent, existsSync, readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import { absent, nameOf, pathOf, shownName, sortedNames } from '../../files/file-names.js';
import { labelOfName } from '../class-names.js';
import { IMAGE_FILE } from '../images/image-format.js';
import { type OnPassedOver, type PassedOver, passedOverTally } from '../passed-over.js';
import { namesOfSplit, SPLITS, type Split, splitOfName } from '../splits.js';

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

/** Content of a folder, sorted as in Python. Names that are not UTF-8 are represented as by `nameOf`. */
interface FolderContent {
  /** Names of sub-folders. */
  readonly folders: readonly string[];
  /** Names of files with image extensions. */
  readonly images: readonly string[];
}

interface FolderContentOptions {
  /** Whether links to folders count as folders. Default true. */
  readonly followLinks?: boolean;
  readonly onPassedOver?: OnPassedOver | undefined;
}

/** Folders that operating systems create. */
const SYSTEM_FOLDERS: ReadonlySet<string> = new Set([
  '__MACOSX',
  '@eaDir',
  'lost+found',
  'System Volume Information',
  '$RECYCLE.BIN',
]);

/** @throws InputError if the folder cannot be read. */
export function folderContent(path: string, options: FolderContentOptions = {}): FolderContent {
  const { followLinks = true, onPassedOver } = options;
  const folders: string[] = [];
  const images: string[] = [];
  for (const entry of entriesOf(path)) {
    const { name } = entry;
    const hidden = hiddenReason(name);
    if (hidden !== undefined) onPassedOver?.(hidden, join(path, name));
    else if (isFolder(path, entry, followLinks)) folders.push(name);
    else if (isFile(entry.entry) && IMAGE_FILE.test(name)) images.push(name);
    else onPassedOver?.(reasonOf(path, entry, followLinks), join(path, name));
  }
  return { folders: sortedNames(folders), images: sortedNames(images) };
}

/**
 * The images of a class, as in torchvision: those in its folder and in all folders below, but not behind links to folders, which
 * may form cycles. Returns paths within the class folder, in torchvision's order.
 */
export function imagesUnder(path: string, onPassedOver?: OnPassedOver): readonly string[] {
  const { folders, images } = folderContent(path, { followLinks: false, onPassedOver });
  if (folders.length === 0) return images;
  const found = new Map([['', images]]);
  const waiting = [...folders];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const above = folder;
    const content = folderContent(join(path, folder), { followLinks: false, onPassedOver });
    found.set(folder, content.images);
    waiting.push(...content.folders.map((below) => join(above, below)));
  }
  return sortedNames([...found.keys()]).flatMap((folder) =>
    (found.get(folder) ?? []).map((image) => join(folder, image)),
  );
}

/** The reason why a file or folder with this name is never read; undefined if it may be read. */
export function hiddenReason(name: string): string | undefined {
  if (name.startsWith('.')) return 'hidden';
  return SYSTEM_FOLDERS.has(name) ? 'of the operating system' : undefined;
}

/** Content of a folder other than the known files and folders of a data set. */
export function unknownEntries(folder: string, isKnown: (name: string) => boolean): readonly PassedOver[] {
  const tally = passedOverTally();
  for (const { name, entry } of entriesOf(folder)) {
    if (isKnown(name)) continue;
    const reason = hiddenReason(name) ?? (entry.isDirectory() ? 'folders' : extensionReason(name));
    tally.add(reason, join(folder, name));
  }
  return tally.list();
}

interface Entry {
  readonly name: string;
  readonly entry: Dirent<Buffer>;
}

function entriesOf(path: string): Entry[] {
  try {
    return readdirSync(pathOf(path), { withFileTypes: true, encoding: 'buffer' }).map((entry) => ({
      name: nameOf(entry.name),
      entry,
    }));
  } catch (error) {
    throw new InputError(`${shownName(path)}: cannot be read as a folder of images (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}

/** Excludes pipes, sockets and devices, because reading them may not end. */
function isFile(entry: Dirent<Buffer>): boolean {
  return entry.isFile() || entry.isSymbolicLink();
}

/** Links with image names are treated as images without a check: a data set may consist of a million links. */
function isFolder(root: string, { name, entry }: Entry, followLinks: boolean): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  if (!followLinks || IMAGE_FILE.test(name)) return false;
  return isFolderBehind(join(root, name));
}

function isFolderBehind(link: string): boolean {
  return statSync(pathOf(link), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

function reasonOf(root: string, { name, entry }: Entry, followLinks: boolean): string {
  if (!isFile(entry)) return 'pipes, sockets or devices';
  if (!followLinks && entry.isSymbolicLink() && isFolderBehind(join(root, name))) {
    return 'links to folders inside a class';
  }
  return extensionReason(name);
}

/** `named .txt` */
export function extensionReason(name: string): string {
  const extension = extname(shownName(name)).toLowerCase();
  return extension === '' ? 'without an extension' : `named ${extension}`;
}
