import { z } from 'zod';
import { ACTIVITIES, type Activity } from '../../base/activity.js';
import { type Vitals, vitalsOf } from './vitals.js';

/** A process reports progress, and what it is doing next. */
export const progressMessage = z.object({
  type: z.literal('progress'),
  doing: z.enum(ACTIVITIES),
});

/** In milliseconds. */
export interface Timing {
  /** Between two looks at the process. */
  readonly lookMs: number;
  /** Without any activity for so long, and for 20 of its usual steps, it is taken for hung. */
  readonly idleMs: number;
  /** Active, but without a step for so long, and for 50 of its usual steps, it is taken for hung. */
  readonly stuckMs: number;
  /** To leave in, once asked; for a process of long steps, three of them. */
  readonly graceMs: number;
  /** The same where it is saving. */
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
  /** The process told of progress: what it was at is done, this begins. */
  mark(doing: Activity): void;
  /** Looks at the process, to be called every `everyMs`. @returns why it is taken for hung, once it is */
  look(): string | undefined;
  /** @returns why the process should be killed, where it is still there `waited` ms after it was asked to leave */
  overdue(waited: number): string | undefined;
}

/** Of one core: a process that trains, loads or evaluates uses far more, one that waits for ever far less. */
const IDLE_CPU = 0.01;
/** Between two looks; the threads of a process that does nothing wake one another with a few bytes. */
const IDLE_BYTES = 65_536;
const IDLE_STEPS = 20;
const STUCK_STEPS = 50;
const LEAVING_STEPS = 3;
/** Before a process has made so many steps nobody knows what it usually takes. */
const KNOWN_AFTER = 10;

/**
 * Tells a process that hangs from one that is busy, without its help: a step may hold its event loop for minutes, so
 * that a beat from there proves nothing, and a beat from another thread proves that thread alone. So the system is
 * asked for the processor time and the bytes it used. What uses none, waits for no disk and is in no debugger for
 * minutes hangs (a deadlock, a lost wake-up, SIGSTOP). What is busy is taken for hung only where it reports its steps
 * (`mark`) and has made none for many times what they take; while it starts, evaluates or saves, never.
 *
 * Looks are counted, not clock time: when the machine slept, or this process was stopped, nothing is concluded.
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
        return `${vitals.isStopped ? 'it was stopped' : 'it did nothing'} for ${duration(idleFor)}`;
      }
      const stuckFor = unmarked * timing.lookMs;
      const isKnown = doing === 'training' && steps >= KNOWN_AFTER;
      if (isKnown && stuckFor >= Math.max(timing.stuckMs, STUCK_STEPS * longest)) {
        return `no step in ${duration(stuckFor)}, where the longest took ${duration(longest)}`;
      }
      return undefined;
    },
    overdue(waited) {
      const patience = Math.max(timing.graceMs, LEAVING_STEPS * longest);
      if (waited < (doing === 'saving' ? Math.max(patience, timing.savingGraceMs) : patience))
        return undefined;
      return `it did not leave within ${duration(waited)}`;
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
