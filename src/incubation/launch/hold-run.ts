import { mkdirSync, rmdirSync, statSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { withFileErrors } from '../../checkpoint/file-errors.js';
import { type FolderLock, lockFolder } from '../../checkpoint/folder-lock.js';

/**
 * Takes a run's folder for this process, and makes it where it is missing: of two that begin a run at once one is refused
 * before it writes anything. What was made and is still empty when it is released goes again.
 * @throws InputError naming the holder, or where the folder cannot be written
 */
export async function holdRun(runDir: string): Promise<FolderLock> {
  const made = withFileErrors(runDir, () => makeFolders(resolve(runDir)));
  const lock = await lockFolder(runDir);
  return {
    release() {
      lock.release();
      if (made !== undefined) removeEmpty(resolve(runDir), made);
    },
  };
}

/**
 * Node's own recursive one never returns where the system says of a folder that its parent is not there and it is, as
 * automounters do.
 * @returns the first that was made
 */
function makeFolders(folder: string): string | undefined {
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory()) return undefined;
  const parent = dirname(folder);
  const made = parent === folder ? undefined : makeFolders(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    // Another process may have been faster.
    if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) throw error;
  }
  return made ?? folder;
}

/** @param top the last of the folders above that may go too */
function removeEmpty(folder: string, top: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // It is in use.
    return;
  }
  if (folder !== top) removeEmpty(dirname(folder), top);
}
