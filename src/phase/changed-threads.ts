import type { PhaseName } from '../recipe/phases.js';
import { newestManifest } from '../run/checkpoint-store.js';
import { runFolder } from '../run/run-folder.js';

/**
 * What to say if a phase goes on with another number of threads than its last checkpoint was made with: sums are then rounded
 * in another order, so that the numbers from there on differ from those of an uninterrupted run. Nothing if it begins, if the numbers are
 * equal, or if its checkpoint does not say: a GPU made it, or an older version.
 */
export function changedThreads(runDir: string, phase: PhaseName, threads: number): string | undefined {
  const before = newestManifest(runFolder(runDir).phase(phase).root)?.threads;
  if (typeof before !== 'number' || before === threads) return undefined;
  return `assumed: ${phase} goes on with run.threads ${threads}, its last checkpoint was made with ${before}: from here on it differs by rounding from a run that was not interrupted. \`--set run.threads=${before}\` keeps them`;
}
