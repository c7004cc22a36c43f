import { rmdirSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { makeFolders, removeTemporary } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { type FolderLock, liveHolder, lockFolder } from '../files/folder-lock.js';
import { removeLeftovers } from '../run/checkpoint-store.js';
import { phasesIn, runFolder } from '../run/run-folder.js';
import { slurmFolder } from './slurm/slurm-jobs.js';

/**
 * Locks a run's folder for this process, and creates it if it is missing. If two processes begin a run at the same time,
 * one of them fails before it writes anything. On release, created folders that are still empty are removed.
 * @throws InputError naming the holder, or if the folder cannot be written
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

/** @param top the topmost folder that may be removed */
function removeEmpty(folder: string, top: string): void {
  try {
    rmdirSync(folder);
  } catch {
    // The folder is in use.
    return;
  }
  if (folder !== top) removeEmpty(dirname(folder), top);
}

/** Deletes files that killed processes left anywhere in a run, including finished phases. The caller must hold the run. */
export function removeRunLeftovers(runDir: string): void {
  for (const folder of [runDir, runFolder(runDir).report, runFolder(runDir).start, slurmFolder(runDir)]) {
    withFileErrors(folder, () => removeTemporary(folder));
  }
  for (const phase of phasesIn(runDir)) removePhaseLeftovers(runDir, phase);
}

/** Like `removeRunLeftovers`, for one phase. Does nothing while a process trains it. */
export function removePhaseLeftovers(runDir: string, phase: string): void {
  const { root, samples } = runFolder(runDir).phase(phase);
  if (liveHolder(root) !== undefined) return;
  removeLeftovers(root);
  withFileErrors(samples, () => removeTemporary(samples));
}
