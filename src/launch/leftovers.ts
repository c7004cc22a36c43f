import { removeTemporary } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { liveHolder } from '../files/folder-lock.js';
import { removeLeftovers } from '../run/checkpoint-store.js';
import { phasesIn, runFolder } from '../run/run-folder.js';
import { slurmFolder } from './slurm/slurm-jobs.js';

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
