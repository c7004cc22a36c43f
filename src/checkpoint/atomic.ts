import { randomUUID } from 'node:crypto';
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { withFileErrors } from './file-errors.js';

/** What a writer that was killed leaves behind starts with this, and may be deleted. */
export const TEMPORARY_PREFIX = '.tmp-';

/** A new name in `folder`, so that a rename to its neighbour is atomic. */
export function temporaryPath(folder: string, name: string): string {
  return join(folder, `${TEMPORARY_PREFIX}${name}-${randomUUID().slice(0, 8)}`);
}

/**
 * Writes a whole file or nothing: a reader, or a run after a crash or power loss, sees either the old
 * content or the new. Makes the folder where it is missing.
 *
 * Throws `InputError` where the folder cannot be written, `RunError` where the disk is full.
 */
export function writeFileAtomic(path: string, content: string | Uint8Array): void {
  const folder = dirname(path);
  const temporary = temporaryPath(folder, basename(path));
  withFileErrors(path, () => {
    mkdirSync(folder, { recursive: true });
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
export function writeJsonAtomic(path: string, value: unknown): void {
  writeFileAtomic(path, `${JSON.stringify(value, undefined, 2)}\n`);
}

/** Makes renames inside `folder` durable. */
export function syncFolder(folder: string): void {
  const handle = openSync(folder, 'r');
  try {
    fsyncSync(handle);
  } catch (error) {
    // Some network file systems cannot sync a folder; their renames are as durable as they get.
    if (!(error instanceof Error && 'code' in error && error.code === 'EINVAL')) throw error;
  } finally {
    closeSync(handle);
  }
}
