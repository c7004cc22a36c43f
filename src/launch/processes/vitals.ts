import { readdirSync, readFileSync } from 'node:fs';

/** What the system tells of a process. */
export interface Vitals {
  /** Processor time of all its threads, and of children that ended. */
  readonly cpuMs: number;
  /** Read and written so far, files and connections. */
  readonly bytes: number;
  /** One of its threads waits for a disk or a file server, or is held by a debugger. */
  readonly isWaiting: boolean;
  /** By SIGSTOP or its like. */
  readonly isStopped: boolean;
}

/** Of a clock tick in /proc: Linux shows hundredths of a second to every program. */
const TICK_MS = 10;

/** Nothing where the process is gone, or the system (not Linux) does not tell. */
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
    // It has just ended.
    return undefined;
  }
}

/** From the third field, the state, on: the second, in brackets, may hold anything. */
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
    // Some containers do not let it be read.
    return 0;
  }
}
