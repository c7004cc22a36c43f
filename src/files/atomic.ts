import { randomUUID } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { withFileErrors } from './file-errors.js';

/** Prefix of temporary files and folders. A killed writer may leave some behind; they can be deleted. */
const TEMPORARY_PREFIX = '.tmp-';

/** A new path inside `folder`, so that a rename within that folder is atomic. */
export function temporaryPath(folder: string, name: string): string {
  return join(folder, `${TEMPORARY_PREFIX}${name}-${randomUUID().slice(0, 8)}`);
}

interface AtomicOptions {
  /** Default true. Training sets it to false: a deleted run folder must not reappear with one file in it. */
  readonly makesFolder?: boolean;
}

/**
 * Writes a file atomically: a reader, or a run after a crash or power loss, sees either the old
 * content or the new. Creates the folder if it is missing, unless `makesFolder` is false.
 *
 * Throws `InputError` if the folder is not writable, `RunError` if the disk is full.
 */
export function writeFileAtomic(
  path: string,
  content: string | Uint8Array,
  { makesFolder = true }: AtomicOptions = {},
): void {
  const folder = dirname(path);
  const temporary = temporaryPath(folder, basename(path));
  withFileErrors(path, () => {
    if (makesFolder) makeFolders(folder);
    try {
      const file = openSync(temporary, 'wx');
      try {
        writeFileSync(file, content);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    syncFolder(folder);
  });
}

/** `writeFileAtomic` of indented JSON with a final newline. */
export function writeJsonAtomic(path: string, value: unknown, options?: AtomicOptions): void {
  writeFileAtomic(path, `${JSON.stringify(value, undefined, 2)}\n`, options);
}

/** Deletes temporary files that killed writers left in `folder`. Call it only if no process writes there. */
export function removeTemporary(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((name) => name.startsWith(TEMPORARY_PREFIX))) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Creates a folder and its missing parents. Before this returns, each parent's entry for it is synced to the disk, so that
 * files that are written and synced inside cannot be lost with their folder.
 * @returns the topmost folder that was created
 */
export function makeFolders(folder: string): string | undefined {
  // Not Node's recursive mkdir: it never returns if the system reports that a folder exists and its parent does not, as
  // automounters do.
  const path = resolve(folder);
  if (isFolder(path)) return undefined;
  const parent = dirname(path);
  const made = parent === path ? undefined : makeFolders(parent);
  makeFolder(path);
  return made ?? path;
}

/** Creates one folder unless it exists, and syncs its parent, which must exist. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process may have created it first.
    if (!isFolder(path)) throw error;
  }
  syncFolder(dirname(resolve(path)));
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Makes the path from the parent of `top` down to `folder` durable, no matter which process created the folders between. */
export function syncWay(top: string, folder: string): void {
  const end = dirname(resolve(top));
  for (let path = dirname(resolve(folder)); ; path = dirname(path)) {
    syncFolder(path);
    if (path === end || path === dirname(path)) return;
  }
}

/** Makes creations, renames and deletions inside `folder` durable. */
export function syncFolder(folder: string): void {
  try {
    sync(folder);
  } catch (error) {
    // A folder that is writable but not readable cannot be opened, and so cannot be synced.
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error;
  }
}

/** Moves a folder. After a crash at any moment, the disk has it in at least one of the two places. */
export function moveFolder(from: string, to: string): void {
  renameSync(from, to);
  // The destination first.
  syncFolder(dirname(resolve(to)));
  syncFolder(dirname(resolve(from)));
}

/** Makes a folder and all folders in it durable. Files are not synced here: their writers do that. */
export function syncFoldersIn(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) syncFoldersIn(join(folder, entry.name));
  }
  syncFolder(folder);
}

/** Makes a file's content durable, if the file exists. */
export function syncFile(path: string): void {
  if (existsSync(path)) sync(path);
}

function sync(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } catch (error) {
    // Some network file systems cannot sync a folder.
    if (!(error instanceof Error && 'code' in error && error.code === 'EINVAL')) throw error;
  } finally {
    closeSync(handle);
  }
}
