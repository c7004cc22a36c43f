import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../files/atomic.js';
import { liveHolder } from '../files/folder-lock.js';
import { readSmallText } from '../files/small-file.js';
import { runFolder } from './run-folder.js';

/** Current activity of a phase's process. */
export type Activity = 'training' | 'evaluating' | 'saving';

export const ACTIVITIES = ['training', 'evaluating', 'saving'] as const satisfies readonly Activity[];

/**
 * The states of a phase, and of a run, everywhere: in `status.json`, in the terminal, on the page and in reports.
 *
 * waiting: for earlier phases, or for its turn; queued: in the scheduler's queue; restarting: its process died and will start
 * again after a pause; stopped: by a user, or because its supervisor stopped; lost: its process disappeared without recording an
 * end.
 */
const STATUSES = ['waiting', 'queued', 'running', 'restarting', 'done', 'failed', 'stopped', 'lost'] as const;

export type Status = (typeof STATUSES)[number];

const schema = z.object({
  /** Older versions wrote `interrupted` for `stopped`. */
  state: z.preprocess((state) => (state === 'interrupted' ? 'stopped' : state), z.enum(STATUSES)),
  /** Pid of the phase's process, while it runs. */
  pid: z.int().nullable(),
  host: z.string(),
  /** Number of restarts since the command was started. */
  restarts: z.int(),
  /** The reason why the last process died or the phase failed. */
  last_error: z.string().nullable(),
  /** How to fix the error, if the phase reported it. */
  hint: z.string().optional(),
  /** For a phase that is restarting: time of the next start, in ISO 8601; only for display. */
  next_start: z.string().optional(),
  /** The scheduler's job, if one started the process: `12`, or `12_3` for a task of an array. */
  job: z.string().optional(),
  /** Start of the state, in ISO 8601; only for display, because clocks jump. */
  since: z.string().nullable(),
});

/**
 * `status.json` of a phase: its state, written by its supervisor at every change of `state`. A supervisor never writes `queued`
 * or `lost`: these are found by comparing the file with the scheduler's queue and the live processes.
 */
export type PhaseStatus = z.infer<typeof schema>;

const statusPath = (runDir: string, phase: string) =>
  join(runFolder(runDir).phase(phase).root, 'status.json');

/** Writes the status if the phase has a folder. A failed write is ignored; the run reports disk errors itself. */
export function writeStatus(
  runDir: string,
  phase: string,
  status: Omit<PhaseStatus, 'host' | 'since'>,
): void {
  if (!existsSync(runFolder(runDir).phase(phase).root)) return;
  try {
    const stamped = { ...status, host: hostname(), since: new Date().toISOString() };
    writeJsonAtomic(statusPath(runDir, phase), stamped, { makesFolder: false });
  } catch {
    // Ignored, see above.
  }
}

/**
 * Reads a phase's state from the run folder. A phase with a result is done, and one that a live process holds is running. If
 * its file says running or restarting, but no live process holds the phase or the run, it is lost. A phase without a
 * readable file is waiting.
 */
export function readStatus(runDir: string, phase: string): PhaseStatus {
  const status = written(runDir, phase) ?? { ...NOTHING, host: hostname() };
  const { result, root } = runFolder(runDir).phase(phase);
  if (existsSync(result)) return { ...status, state: 'done', pid: null };
  const holder = liveHolder(root);
  if (holder !== undefined) return { ...status, state: 'running', pid: holder.pid, host: holder.host };
  const isUnderWay = status.state === 'running' || status.state === 'restarting';
  if (!isUnderWay || liveHolder(runDir) !== undefined) return status;
  return {
    ...status,
    state: 'lost',
    pid: null,
    last_error: status.last_error ?? LOST,
  };
}

const NOTHING = { state: 'waiting', pid: null, restarts: 0, last_error: null, since: null } as const;
const LOST = 'its supervising process disappeared';

function written(runDir: string, phase: string): PhaseStatus | undefined {
  try {
    return schema.parse(JSON.parse(readSmallText(statusPath(runDir, phase))));
  } catch {
    return undefined;
  }
}
