import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError, RunError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { makeFolders, writeJsonAtomic } from '../../files/atomic.js';
import { withFileErrors } from '../../files/file-errors.js';
import { readJson, readResult } from '../../run/run-folder.js';

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

/** A job in Slurm's queue. */
export interface QueuedJob {
  /** `PENDING`, `RUNNING` ... */
  readonly state: string;
  /** Why it is pending. */
  readonly reason: string;
}

/**
 * Those of the jobs (`12`, or `12_3` for a task of an array) that are queued or running; undefined if Slurm cannot be asked
 * from here.
 */
export async function askQueue(jobs: readonly string[]): Promise<Map<string, QueuedJob> | undefined> {
  const ids = [...new Set(jobs.map((job) => job.split('_')[0]))];
  if (ids.length === 0) return new Map();
  const { code, stdout, stderr } = await slurm('squeue', [
    ...['--noheader', '--array', `--jobs=${ids.join(',')}`, '--format=%i|%T|%r'],
  ]);
  // The error of squeue if it has forgotten all ids that it was asked for.
  if (code !== 0) return /invalid job id/i.test(stderr) ? new Map() : undefined;
  const rows = stdout
    .split('\n')
    .map((line) => line.trim().split('|'))
    .filter(([id, state, reason]) => id !== '' && state !== 'COMPLETING' && reason !== NEVER);
  return new Map(rows.map(([id, state, reason = '']) => [id, { state, reason }]));
}

/** Whether Slurm's programs are installed on this machine, even if they do not work. */
async function isSlurmHere(): Promise<boolean> {
  const { code, stderr } = await slurm('squeue', ['--version']);
  return code !== null || !/ENOENT/.test(stderr);
}

/** Reason of a job that waits for a failed job. */
const NEVER = 'DependencyNeverSatisfied';

interface SlurmOutput {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one of Slurm's programs. If it is not installed, the code is null. */
function slurm(program: string, args: readonly string[]): Promise<SlurmOutput> {
  return new Promise((resolve) => {
    execFile(program, args, { timeout: 60_000 }, (error, stdout, stderr) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : null;
      resolve({ code, stdout, stderr: stderr || (error?.message ?? '') });
    });
  });
}

/**
 * The output of one of Slurm's programs.
 * @throws RunError with its error message, if it fails
 */
export async function slurmOutput(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await slurm(program, args);
  if (code === 0) return stdout.trim();
  const isMissing = /ENOENT/.test(stderr);
  throw new RunError(isMissing ? `${program} not found on this machine` : `${program}: ${stderr.trim()}`, {
    hint: isMissing
      ? 'run the command on a machine of the cluster; --dry-run prints the jobs without Slurm'
      : 'sinfo shows whether Slurm works; the options for sbatch are under run.slurm in the recipe',
  });
}
