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
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
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
    if (makesFolder) mkdirSync(folder, { recursive: true });
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

/** Makes renames inside `folder` durable. */
export function syncFolder(folder: string): void {
  sync(folder);
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
