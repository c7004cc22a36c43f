import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunError } from '../../base/errors.js';
import { type Holder, liveHolder } from '../../files/folder-lock.js';
import { openJobs, slurmOutput } from '../../launch/slurm/slurm-jobs.js';
import { phasesIn, requireRun, runFolder } from '../../run/run-folder.js';
import { print } from '../terminal/output.js';

/** How long to wait for a process to save a checkpoint and exit. After that, the command fails and the process keeps running. */
const PATIENCE_MS = 120_000;
const LOOK_MS = 100;

/**
 * `cancel`: stops a run. The supervisor on this machine, and phases that run without one, receive SIGTERM, save a checkpoint and
 * exit; Slurm jobs are cancelled.
 */
export async function cancel(runDir: string): Promise<void> {
  requireRun(runDir);
  const jobs = await cancelJobs(runDir);
  const { here, elsewhere } = holders(runDir, jobs.length > 0);
  for (const { holder, what } of here) {
    process.kill(holder.pid, 'SIGTERM');
    print(`${what}: process ${holder.pid} saves a checkpoint and exits`);
  }
  for (const { folder, holder, what } of here) await gone(folder, holder, what);
  if (elsewhere.length > 0) {
    const [{ holder, what }] = elsewhere;
    throw new RunError(`${what} runs on ${holder.host} (process ${holder.pid}) and was not stopped`, {
      hint: `run the same command on ${holder.host}`,
    });
  }
  if (here.length + jobs.length === 0) print('No phase of this run is running.');
  else print('Stopped. The same `run` command resumes it.');
}

/** @returns ids of the cancelled jobs */
async function cancelJobs(runDir: string): Promise<string[]> {
  // If Slurm does not respond, scancel reports the error.
  const { jobs } = await openJobs(runDir);
  if (jobs.length === 0) return [];
  await slurmOutput(
    'scancel',
    jobs.map(({ job }) => job),
  );
  for (const { phase, job } of jobs) print(`${phase}: job ${job} cancelled`);
  return jobs.map(({ job }) => job);
}

interface Held {
  readonly folder: string;
  readonly holder: Holder;
  readonly what: string;
}

/** The process that holds the run, otherwise those that hold its phases. If there are Slurm jobs, Slurm ends the phases. */
function holders(runDir: string, areJobs: boolean): { here: Held[]; elsewhere: Held[] } {
  const supervisor = heldBy(runDir, 'the run');
  const phases = areJobs
    ? []
    : phasesIn(runDir).flatMap((phase) => heldBy(runFolder(runDir).phase(phase).root, phase));
  const found = supervisor.length > 0 ? supervisor : phases;
  const isHere = ({ holder }: Held) => holder.host === hostname();
  return { here: found.filter(isHere), elsewhere: found.filter((held) => !isHere(held)) };
}

/** On this machine, a live holder is identified by its pid and start time, so a reused pid is not mistaken for it. */
function heldBy(folder: string, what: string): Held[] {
  const holder = liveHolder(folder);
  return holder === undefined ? [] : [{ folder, holder, what }];
}

async function gone(folder: string, { pid }: Holder, what: string): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (liveHolder(folder)?.pid === pid) {
    if (performance.now() > end) {
      throw new RunError(`${what}: process ${pid} is still running after ${PATIENCE_MS / 1000} s`, {
        hint: 'it may still be saving a checkpoint: check again with `status`; kill -9 ends it at once, and loses the steps since the last checkpoint',
      });
    }
    await sleep(LOOK_MS);
  }
}
