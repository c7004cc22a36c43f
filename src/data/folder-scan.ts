import { type Dirent, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { errorText, InputError } from '../base/errors.js';
import { IMAGE_FILE } from './decode.js';

/** What a folder holds, hidden entries left out, each sorted by the bytes of the names. */
export interface FolderContent {
  /** Names of its sub-folders. */
  readonly folders: readonly string[];
  /** Names of PNG and JPEG files. */
  readonly images: readonly string[];
}

/**
 * @param followLinks whether links to folders are folders
 * @throws InputError where it cannot be read.
 */
export function folderContent(path: string, followLinks = true): FolderContent {
  const folders: string[] = [];
  const images: string[] = [];
  for (const entry of entriesOf(path)) {
    if (entry.name.startsWith('.')) continue;
    if (isFolder(path, entry, followLinks)) folders.push(entry.name);
    else if (isFile(entry) && IMAGE_FILE.test(entry.name)) images.push(entry.name);
  }
  return { folders: byBytes(folders), images: byBytes(images) };
}

/**
 * The images of a class: those in its folder and, as torchvision reads them, in all folders below (links to folders
 * excepted, which may lead round in circles). Paths within the class folder, in torchvision's order.
 */
export function imagesUnder(path: string): readonly string[] {
  const { folders, images } = folderContent(path, false);
  if (folders.length === 0) return images;
  const found = new Map([['', images]]);
  const waiting = [...folders];
  for (let folder = waiting.pop(); folder !== undefined; folder = waiting.pop()) {
    const content = folderContent(join(path, folder), false);
    found.set(folder, content.images);
    waiting.push(...content.folders.map((below) => join(folder, below)));
  }
  return byBytes([...found.keys()]).flatMap((folder) =>
    (found.get(folder) ?? []).map((image) => join(folder, image)),
  );
}

function entriesOf(path: string): Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true });
  } catch (error) {
    throw new InputError(`${path}: cannot be read as a folder of images (${errorText(error)})`, {
      hint: 'Check the path.',
      cause: error,
    });
  }
}

/** Pipes and the like are none: reading them may not end. */
function isFile(entry: Dirent): boolean {
  return entry.isFile() || entry.isSymbolicLink();
}

/** Links that are named as images are taken for those: a data set may be a million links. */
function isFolder(root: string, entry: Dirent, followLinks: boolean): boolean {
  if (!entry.isSymbolicLink()) return entry.isDirectory();
  if (!followLinks || IMAGE_FILE.test(entry.name)) return false;
  return statSync(join(root, entry.name), { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/** Sorts by UTF-8 bytes, which is Python's order; JavaScript's differs beyond U+FFFF. */
function byBytes(names: string[]): string[] {
  return names.some((name) => /[\ud800-\udfff]/.test(name))
    ? names.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    : names.sort();
}
