import { readdirSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { ACTIVITIES, type Activity } from '../../run/phase-status.js';

/** Message of a process that reports progress and its next activity. */
export const progressMessage = z.object({
  type: z.literal('progress'),
  doing: z.enum(ACTIVITIES),
});

/** In milliseconds. */
export interface Timing {
  /** Interval between two checks of the process. */
  readonly lookMs: number;
  /** A process is considered hung if it is idle for this long, and for 20 times its longest step. */
  readonly idleMs: number;
  /** An active process is considered hung if it makes no step for this long, and for 50 times its longest step. */
  readonly stuckMs: number;
  /** Time to stop after being asked to; if steps are long, three times the longest step. */
  readonly graceMs: number;
  /** Like `graceMs`, while the process is saving. */
  readonly savingGraceMs: number;
}

const TIMING: Timing = {
  lookMs: 5000,
  idleMs: 300_000,
  stuckMs: 1_800_000,
  graceMs: 10_000,
  savingGraceMs: 300_000,
};

export interface Watch {
  readonly everyMs: number;
  /** Call this when the process reports progress: its previous activity is done, and `doing` begins. */
  mark(doing: Activity): void;
  /** Checks the process; to be called every `everyMs`. @returns why it is considered hung, if it is */
  look(): string | undefined;
  /** @returns why the process should be killed, if it still runs `waited` ms after it was asked to stop */
  overdue(waited: number): string | undefined;
}

/** Share of one core. A process that trains, loads or evaluates uses far more; one that waits forever uses far less. */
const IDLE_CPU = 0.01;
/** Between two checks. The threads of an idle process wake each other with a few bytes. */
const IDLE_BYTES = 65_536;
const IDLE_STEPS = 20;
const STUCK_STEPS = 50;
const LEAVING_STEPS = 3;
/** Number of steps after which the duration of a step is considered known. */
const KNOWN_AFTER = 10;

/**
 * Distinguishes a hung process from a busy one, without the help of the process: a step may block its event loop for
 * minutes, so a missing heartbeat from there proves nothing, and a heartbeat from another thread only proves that this
 * thread is alive. Instead, the system is asked for the CPU time and the bytes that the process has used. A process that
 * uses none for minutes, waits for no disk and is in no debugger is hung (a deadlock, a lost wake-up, SIGSTOP). A busy
 * process is considered hung only if it reports its steps (`mark`) and has made none for many times their duration, and
 * never while it starts, evaluates or saves.
 *
 * Counts checks, not clock time: if the machine slept, or this process was stopped, nothing is concluded.
 */
export function createWatch(
  pid: number | undefined,
  options: Partial<Timing> = {},
  world: { vitals: (pid: number) => Vitals | undefined; now: () => number } = {
    vitals: vitalsOf,
    now: () => performance.now(),
  },
): Watch {
  const timing = { ...TIMING, ...options };
  let before: Vitals | undefined;
  let idle = 0;
  let unmarked = 0;
  let doing: Activity | undefined;
  let markedAt = 0;
  let steps = 0;
  let longest = 0;

  return {
    everyMs: timing.lookMs,
    mark(what) {
      const now = world.now();
      if (what === 'training' && doing === 'training') {
        longest = Math.max(longest, now - markedAt);
        steps++;
      }
      doing = what;
      markedAt = now;
      idle = 0;
      unmarked = 0;
    },
    look() {
      const vitals = pid === undefined ? undefined : world.vitals(pid);
      if (vitals === undefined) return undefined;
      const isActive = before === undefined || vitals.isWaiting || hasWorked(before, vitals, timing.lookMs);
      before = vitals;
      idle = isActive ? 0 : idle + 1;
      unmarked++;
      const idleFor = idle * timing.lookMs;
      if (idleFor >= Math.max(timing.idleMs, IDLE_STEPS * longest)) {
        return `${vitals.isStopped ? 'it was stopped' : 'it was idle'} for ${duration(idleFor)}`;
      }
      const stuckFor = unmarked * timing.lookMs;
      const isKnown = doing === 'training' && steps >= KNOWN_AFTER;
      if (isKnown && stuckFor >= Math.max(timing.stuckMs, STUCK_STEPS * longest)) {
        return `no step in ${duration(stuckFor)}; the longest so far took ${duration(longest)}`;
      }
      return undefined;
    },
    overdue(waited) {
      const patience = Math.max(timing.graceMs, LEAVING_STEPS * longest);
      if (waited < (doing === 'saving' ? Math.max(patience, timing.savingGraceMs) : patience))
        return undefined;
      return `it did not exit within ${duration(waited)}`;
    },
  };
}

function hasWorked(before: Vitals, now: Vitals, ms: number): boolean {
  return now.cpuMs - before.cpuMs >= IDLE_CPU * ms || now.bytes - before.bytes >= IDLE_BYTES;
}

function duration(ms: number): string {
  if (ms >= 120_000) return `${Math.round(ms / 60_000)} min`;
  return `${ms < 10_000 ? (ms / 1000).toPrecision(2) : Math.round(ms / 1000)} s`;
}

/** Activity of a process, as reported by the system. */
export interface Vitals {
  /** CPU time of all its threads, and of child processes that have ended. */
  readonly cpuMs: number;
  /** Bytes read and written so far, by files and connections. */
  readonly bytes: number;
  /** Whether one of its threads waits for a disk or a file server, or is held by a debugger. */
  readonly isWaiting: boolean;
  /** Whether it was stopped by SIGSTOP or a similar signal. */
  readonly isStopped: boolean;
}

/** Duration of a clock tick in /proc: Linux reports hundredths of a second to every program. */
const TICK_MS = 10;

/** @returns undefined if the process is gone, or the system (not Linux) does not report its activity */
function vitalsOf(pid: number): Vitals | undefined {
  try {
    const main = fieldsOf(readFileSync(`/proc/${pid}/stat`, 'utf8'));
    const states = readdirSync(`/proc/${pid}/task`).map((thread) => stateOf(pid, thread));
    const times = main.slice(11, 15).map(Number);
    return {
      cpuMs: TICK_MS * times.reduce((sum, ticks) => sum + ticks, 0),
      bytes: bytesOf(pid),
      isWaiting: states.some((state) => state === 'D' || state === 't'),
      isStopped: main[0] === 'T',
    };
  } catch {
    return undefined;
  }
}

function stateOf(pid: number, thread: string): string | undefined {
  try {
    return fieldsOf(readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8'))[0];
  } catch {
    // The thread has just ended.
    return undefined;
  }
}

/** The fields from the third one, the state. The second field, in brackets, may contain anything. */
function fieldsOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function bytesOf(pid: number): number {
  try {
    const lines = readFileSync(`/proc/${pid}/io`, 'utf8').matchAll(
      /^(?:[rw]char|(?:read|write)_bytes): (\d+)$/gm,
    );
    return Array.from(lines, ([, bytes]) => Number(bytes)).reduce((sum, bytes) => sum + bytes, 0);
  } catch {
    // Some containers do not allow this file to be read.
    return 0;
  }
}

const EVERY_MS = 1000;

/**
 * For a process that `runProcess` started: reports to the parent that work continues, and the next activity, at most once
 * per second unless the activity changes. Call it before an evaluation, before a checkpoint is written, and when everything
 * that belongs to a step is done (`training`: the next step begins). Does nothing if no process listens.
 */
export function createProgressSender(
  send: (message: z.infer<typeof progressMessage>) => void = sendToParent,
  now: () => number = () => performance.now(),
): (doing: Activity) => void {
  let last: { doing: Activity; at: number } | undefined;
  return (doing) => {
    if (last?.doing === doing && now() - last.at < EVERY_MS) return;
    last = { doing, at: now() };
    send({ type: 'progress', doing });
  };
}

function sendToParent(message: object): void {
  // A failure means that the parent is gone, which `endWithParent` handles.
  process.send?.(message, undefined, undefined, () => {});
}
