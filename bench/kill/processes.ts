import { readdirSync, readFileSync } from 'node:fs';

/** A process of an active run. */
export interface RunProcess {
  readonly pid: number;
  /** The phase that the process trains. */
  readonly phase: string;
}

/** The phase processes that a supervisor has started; Linux only. */
export function phasesUnder(supervisor: number): RunProcess[] {
  return childrenOf(supervisor).flatMap((pid) => {
    // node main.js phase RUN PHASE --threads ...
    const words = read(`/proc/${pid}/cmdline`).split('\0');
    const at = words.indexOf('phase');
    return at < 0 ? [] : [{ pid, phase: words[at + 2] }];
  });
}

export function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // The process has already ended.
  }
}

function childrenOf(pid: number): number[] {
  try {
    const threads = readdirSync(`/proc/${pid}/task`);
    const lists = threads.map((thread) => read(`/proc/${pid}/task/${thread}/children`));
    return lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  } catch {
    return [];
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
