import { execFile } from 'node:child_process';
import { RunError } from '../../base/errors.js';

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
export async function isSlurmHere(): Promise<boolean> {
  const { code, stderr } = await slurm('squeue', ['--version']);
  return code !== null || !/ENOENT/.test(stderr);
}

/** Reason of a job that waits for a failed job. */
const NEVER = 'DependencyNeverSatisfied';

interface Said {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs one of Slurm's programs. If it is not installed, the code is null. */
function slurm(program: string, args: readonly string[]): Promise<Said> {
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
