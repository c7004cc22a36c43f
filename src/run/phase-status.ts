import { existsSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { writeJsonAtomic } from '../files/atomic.js';
import { liveHolder } from '../files/folder-lock.js';
import { readSmallText } from '../files/small-file.js';
import { runFolder } from './run-folder.js';

const schema = z.object({
  state: z.enum(['waiting', 'running', 'restarting', 'done', 'failed', 'interrupted']),
  /** Of the phase's process, while it runs. */
  pid: z.int().nullable(),
  host: z.string(),
  /** Since the command was given. */
  restarts: z.int(),
  /** Why the last process died, or why the phase failed. */
  last_error: z.string().nullable(),
  /** What to do about it, where the phase said. */
  hint: z.string().optional(),
  /** Of a phase that is restarting: when its process starts again, in ISO 8601; for people alone. */
  next_start: z.string().optional(),
  /** Of the scheduler, where one started the process: `12`, or `12_3` for a task of an array. */
  job: z.string().optional(),
  /** When the state began, in ISO 8601; for people alone, clocks jump. */
  since: z.string().nullable(),
});

/**
 * `status.json` of a phase: how it stands, written by the process that supervises it at every change of `state`.
 * waiting: for its turn; restarting: its process died and is started again after a pause; interrupted: stopped by a
 * person, or lost with its supervisor, to be gone on with.
 */
export type PhaseStatus = z.infer<typeof schema>;

const statusPath = (runDir: string, phase: string) =>
  join(runFolder(runDir).phase(phase).root, 'status.json');

/** Writes it where the phase has a folder. A disk that takes it not is no reason to stop: the run itself will tell. */
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
    // Said above.
  }
}

/** As found in a folder. */
export interface FoundStatus extends PhaseStatus {
  /** It was running when last written, and no process does any more: nobody stopped it. */
  readonly isLost?: true;
}

/**
 * How a phase stands, judged by what is in the folder: a result makes it done, a live process that holds it makes it
 * running, and what runs by its file without a live process that holds it or the run is interrupted. A phase of which
 * nothing (or nothing readable) is written waits.
 */
export function readStatus(runDir: string, phase: string): FoundStatus {
  const status = written(runDir, phase) ?? { ...NOTHING, host: hostname() };
  const { result, root } = runFolder(runDir).phase(phase);
  if (existsSync(result)) return { ...status, state: 'done', pid: null };
  const holder = liveHolder(root);
  if (holder !== undefined) return { ...status, state: 'running', pid: holder.pid, host: holder.host };
  const isUnderWay = status.state === 'running' || status.state === 'restarting';
  if (!isUnderWay || liveHolder(runDir) !== undefined) return status;
  return {
    ...status,
    state: 'interrupted',
    pid: null,
    last_error: status.last_error ?? LOST,
    isLost: true,
  };
}

const NOTHING = { state: 'waiting', pid: null, restarts: 0, last_error: null, since: null } as const;
const LOST = 'the process that supervised it ended without a word';

function written(runDir: string, phase: string): PhaseStatus | undefined {
  try {
    return schema.parse(JSON.parse(readSmallText(statusPath(runDir, phase))));
  } catch {
    return undefined;
  }
}
