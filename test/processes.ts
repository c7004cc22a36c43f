import { existsSync, readdirSync, readFileSync } from 'node:fs';

/** The processes of a run's phases, found by their command lines, with their ranks. */
export function processesOf(run: string): { readonly pid: number; readonly rank: number }[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const command = readFileSync(`/proc/${name}/cmdline`, 'utf8').split('\0');
        if (!command.includes('phase') || !command.includes(run)) return [];
        const rank = /(?:^|\0)RANK=(\d+)/.exec(readFileSync(`/proc/${name}/environ`, 'utf8'));
        return rank === null ? [] : [{ pid: Number(name), rank: Number(rank[1]) }];
      } catch {
        // The process has just ended.
        return [];
      }
    });
}

/** Ids of the processes that a process has started. */
export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

export function isAlive(pid: number): boolean {
  // A zombie has ended; in a container, no process may reap it.
  const path = `/proc/${pid}/stat`;
  return existsSync(path) && !/\) [ZX] /.test(readFileSync(path, 'utf8'));
}
