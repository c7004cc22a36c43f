import { z } from 'zod';
import { ACTIVITIES, type Activity } from '../../run/phase-status.js';
import { type Vitals, vitalsOf } from './vitals.js';

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
