import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { makeFolders, writeJsonAtomic } from '../../files/atomic.js';
import { withFileErrors } from '../../files/file-errors.js';
import { readJson } from '../../run/run-folder.js';

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
