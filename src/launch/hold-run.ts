import { rmdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { makeFolders } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { type FolderLock, lockFolder } from '../files/folder-lock.js';

/**
 * Takes a run's folder for this process, and makes it where it is missing: of two that begin a run at once one is refused
 * before it writes anything. What was made and is still empty when it is released goes again.
 * @throws InputError naming the holder, or where the folder cannot be written
 */
export async function holdRun(runDir: string): Promise<FolderLock> {
  const made = withFileErrors(runDir, () => makeFolders(runDir));
  const lock = await lockFolder(runDir);
  return {
    release() {
      lock.release();
      if (made !== undefined) removeEmpty(resolve(runDir), made);
    },
  };
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
