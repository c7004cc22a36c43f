import { type Dirent, readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { errorText, InputError } from '../../base/errors.js';
import { nameOf, pathOf, shownName, sortedNames } from '../../files/file-names.js';
import { IMAGE_FILE } from '../images/image-format.js';
import { type OnPassedOver, type PassedOver, passedOverTally } from '../passed-over.js';

/** Content of a folder, sorted as in Python. Names that are not UTF-8 are represented as by `nameOf`. */
export interface FolderContent {
  /** Names of sub-folders. */
  readonly folders: readonly string[];
  /** Names of files with image extensions. */
  readonly images: readonly string[];
}

export interface FolderContentOptions {
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
