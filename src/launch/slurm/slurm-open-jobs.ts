import { InputError, RunError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { readResult } from '../../run/run-folder.js';
import { readJobs, type SlurmJob } from './slurm-jobs.js';
import { askQueue, isSlurmHere } from './slurm-queue.js';

export interface OpenJobs {
  /** Jobs of phases that are not done. */
  readonly jobs: readonly SlurmJob[];
  /** False if Slurm cannot be asked from here. The jobs may then have ended. */
  readonly isSure: boolean;
}

/** The jobs of a run that are queued or running in Slurm. */
export async function openJobs(runDir: string): Promise<OpenJobs> {
  const undone = readJobs(runDir).filter(({ phase }) => readResult(runDir, phase) === undefined);
  const queue = await askQueue(undone.map(({ job }) => job));
  return { jobs: undone.filter(({ job }) => queue?.has(job) ?? true), isSure: queue !== undefined };
}

/**
 * Checks that Slurm does not also train a run that is about to be trained on this machine. If this machine has no Slurm, for
 * example because the folder was copied here, `note` reports the jobs and nothing else happens.
 * @param otherwise alternatives to cancelling the jobs, for the hint
 * @throws InputError naming the jobs; RunError if Slurm is installed and does not answer
 */
export async function requireNoJobs(
  runDir: string,
  note: (line: string) => void,
  ...otherwise: readonly string[]
): Promise<void> {
  const { jobs, isSure } = await openJobs(runDir);
  if (jobs.length === 0) return;
  const named = jobs.map(({ phase, job }) => `${phase} (job ${job})`).join(', ');
  if (!isSure && (await isSlurmHere())) {
    throw new RunError(`Slurm does not answer; the run had submitted ${named}`, {
      hint: 'try again when sinfo works',
    });
  }
  if (!isSure) {
    note(`Slurm cannot be queried on this machine; the run had submitted ${named}.`);
    return;
  }
  throw new InputError(`${runDir}: still in Slurm: ${named}`, {
    hint: [`to cancel them: ${ownCommand('cancel', runDir)}`, ...otherwise].join('; '),
  });
}
