import { InputError, RunError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { readResult } from '../../run/run-folder.js';
import { readJobs, type SlurmJob } from './slurm-jobs.js';
import { askQueue, isSlurmHere } from './slurm-queue.js';

export interface OpenJobs {
  /** Of phases that are not done. */
  readonly jobs: readonly SlurmJob[];
  /** False where Slurm cannot be asked from here: then they may have ended. */
  readonly isSure: boolean;
}

/** The jobs of a run that Slurm still has to run, or runs. */
export async function openJobs(runDir: string): Promise<OpenJobs> {
  const undone = readJobs(runDir).filter(({ phase }) => readResult(runDir, phase) === undefined);
  const queue = await askQueue(undone.map(({ job }) => job));
  return { jobs: undone.filter(({ job }) => queue?.has(job) ?? true), isSure: queue !== undefined };
}

/**
 * For who is about to train a run on this machine: Slurm must not train it too. Where there is no Slurm, as where
 * the folder was copied to another machine, that is told and no more.
 * @param otherwise what could be done beside cancelling them
 * @throws InputError naming the jobs; RunError where Slurm is there and does not answer
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
    throw new RunError(`Slurm does not answer, and it had been given ${named}`, {
      hint: 'try again once sinfo says that it is up',
    });
  }
  if (!isSure) {
    note(`Slurm cannot be asked from here; it had been given ${named}.`);
    return;
  }
  throw new InputError(`${runDir}: Slurm has ${named}`, {
    hint: [`${ownCommand('cancel', runDir)} takes them from it`, ...otherwise].join('; '),
  });
}
