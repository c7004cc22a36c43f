import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, RunError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { makeFolders, writeJsonAtomic } from '../../files/atomic.js';
import { withFileErrors } from '../../files/file-errors.js';
import { readJson, readResult } from '../../run/run-folder.js';
import { askQueue, isSlurmHere } from './slurm-queue.js';

const schema = z.object({
  jobs: z.array(
    z.object({
      /** `PT`, `MT/0` ... */
      phase: z.string(),
      /** Id of the last submission: `12`, or `12_3` for a task of an array. */
      job: z.string().regex(/^\d+(_\d+)?$/),
      /** The batch script, in the same folder. */
      script: z.string(),
      submitted: z.string(),
    }),
  ),
});

/** A phase's job, as recorded in `slurm/jobs.json` of a run. */
export type SlurmJob = z.infer<typeof schema>['jobs'][number];

/** A run's folder for Slurm scripts and jobs. */
export const slurmFolder = (runDir: string): string => join(runDir, 'slurm');

/**
 * The last job of each phase that was submitted; empty if the run was never submitted to Slurm.
 * @throws InputError if the file is damaged
 */
export function readJobs(runDir: string): SlurmJob[] {
  const path = join(slurmFolder(runDir), 'jobs.json');
  if (!existsSync(path)) return [];
  const jobs = jobsOf(readJson(path));
  if (jobs !== undefined) return jobs;
  throw new InputError(`${path} is damaged`, {
    hint: 'cancel the jobs of the run (squeue, scancel), then delete this file',
  });
}

/** The file in the phase's folder with the output of a job; undefined before the job has begun. */
export function outputOf(phaseRoot: string, job: string): string | undefined {
  const path = join(phaseRoot, `slurm-${job}.txt`);
  return existsSync(path) ? path : undefined;
}

/** Removes the records of jobs of phases that are to be trained again. */
export function forgetJobs(runDir: string, phases: readonly string[]): void {
  const jobs = readJobs(runDir);
  const kept = jobs.filter(({ phase }) => !phases.includes(phase));
  if (kept.length < jobs.length) writeJobs(runDir, kept);
}

/** The jobs in a parsed `slurm/jobs.json`; undefined if it is invalid. */
export function jobsOf(value: unknown): SlurmJob[] | undefined {
  return schema.safeParse(value).data?.jobs;
}

/** Records new jobs. Each replaces the previous job of its phase. */
export function recordJobs(runDir: string, jobs: readonly SlurmJob[]): void {
  const kept = readJobs(runDir).filter(({ phase }) => !jobs.some((job) => job.phase === phase));
  writeJobs(runDir, [...kept, ...jobs]);
}

function writeJobs(runDir: string, jobs: readonly SlurmJob[]): void {
  withFileErrors(slurmFolder(runDir), () => {
    makeFolders(slurmFolder(runDir));
    writeJsonAtomic(join(slurmFolder(runDir), 'jobs.json'), { jobs });
  });
}

interface OpenJobs {
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
