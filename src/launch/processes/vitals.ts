import { readdirSync, readFileSync } from 'node:fs';

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
export function vitalsOf(pid: number): Vitals | undefined {
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
