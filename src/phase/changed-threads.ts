import type { PhaseName } from '../recipe/phase.js';
import { newestManifest } from '../run/checkpoint-store.js';
import { runFolder } from '../run/run-folder.js';

/**
 * Warning if a phase resumes with a different number of threads than its last checkpoint was made with. Sums are then
 * rounded in a different order, so the results differ from those of an uninterrupted run.
 * @returns undefined if the phase has no checkpoint, the numbers are equal, or the checkpoint does not record its threads
 *   because it was made on a GPU or by an older version
 */
export function changedThreads(runDir: string, phase: PhaseName, threads: number): string | undefined {
  const before = newestManifest(runFolder(runDir).phase(phase).root)?.threads;
  if (typeof before !== 'number' || before === threads) return undefined;
  return `assumed: ${phase} resumes with run.threads ${threads}, but its last checkpoint was made with ${before}: from here on, it differs by rounding from an uninterrupted run. \`--set run.threads=${before}\` avoids this`;
}
