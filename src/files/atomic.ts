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

/** What a writer that was killed leaves behind starts with this, and may be deleted. */
const TEMPORARY_PREFIX = '.tmp-';

/** A new name in `folder`, so that a rename to its neighbour is atomic. */
export function temporaryPath(folder: string, name: string): string {
  return join(folder, `${TEMPORARY_PREFIX}${name}-${randomUUID().slice(0, 8)}`);
}

interface AtomicOptions {
  /** Default true. Not for what training writes: a run folder that was deleted must not come back with one file in it. */
  readonly makesFolder?: boolean;
}

/**
 * Writes a whole file or nothing: a reader, or a run after a crash or power loss, sees either the old
 * content or the new. Makes the folder where it is missing, unless told not to.
 *
 * Throws `InputError` where the folder cannot be written, `RunError` where the disk is full.
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

/** Deletes what killed writers left in `folder`. Only for who knows that nobody writes there now. */
export function removeTemporary(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder).filter((name) => name.startsWith(TEMPORARY_PREFIX))) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Makes a folder and those above it that are missing. Each is on the disk, as an entry of the one above it, before
 * this returns: what is written and synced inside is not lost with it.
 * @returns the topmost folder that was made
 */
export function makeFolders(folder: string): string | undefined {
  // Not Node's recursive one: it never returns where the system says that a folder exists and its parent does not, as
  // automounters do.
  const path = resolve(folder);
  if (isFolder(path)) return undefined;
  const parent = dirname(path);
  const made = parent === path ? undefined : makeFolders(parent);
  makeFolder(path);
  return made ?? path;
}

/** Makes one folder, as an entry on the disk, unless it is there. Its parent must be there. */
export function makeFolder(path: string): void {
  try {
    mkdirSync(path);
  } catch (error) {
    // Another process may have been faster.
    if (!isFolder(path)) throw error;
  }
  syncFolder(dirname(resolve(path)));
}

const isFolder = (path: string): boolean => statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/** Makes the way to `folder` from the one that holds `top` durable, whoever made the folders in between. */
export function syncWay(top: string, folder: string): void {
  const end = dirname(resolve(top));
  for (let path = dirname(resolve(folder)); ; path = dirname(path)) {
    syncFolder(path);
    if (path === end || path === dirname(path)) return;
  }
}

/** Makes what was made, renamed and deleted inside `folder` durable. */
export function syncFolder(folder: string): void {
  try {
    sync(folder);
  } catch (error) {
    // A folder that may be changed and not listed cannot be opened; it is as durable as it gets.
    if (!(error instanceof Error && 'code' in error && error.code === 'EACCES')) throw error;
  }
}

/** Moves a folder to another one. At no moment is it in neither on the disk. */
export function moveFolder(from: string, to: string): void {
  renameSync(from, to);
  // First where it is now.
  syncFolder(dirname(resolve(to)));
  syncFolder(dirname(resolve(from)));
}

/** Makes a folder durable with all that is in it, files excepted: these are synced when they are written. */
export function syncFoldersIn(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) syncFoldersIn(join(folder, entry.name));
  }
  syncFolder(folder);
}

/** Makes what was appended to a file durable, where there is one. */
export function syncFile(path: string): void {
  if (existsSync(path)) sync(path);
}

function sync(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } catch (error) {
    // Some network file systems cannot sync a folder; their renames are as durable as they get.
    if (!(error instanceof Error && 'code' in error && error.code === 'EINVAL')) throw error;
  } finally {
    closeSync(handle);
  }
}
