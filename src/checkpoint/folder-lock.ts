import {
  closeSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { withFileErrors } from './file-errors.js';

/** Held by one process at a time; left behind by one that was killed, and then taken over. */
export interface FolderLock {
  release(): void;
}

const holderSchema = z.object({ pid: z.int(), host: z.string(), started: z.string() });
type Holder = z.infer<typeof holderSchema>;

const BEAT_MS = 10_000;
/** A holder on another machine is taken for dead when its lock was not touched for so long. */
const STALE_MS = 60_000;
const RETRY_MS = 50;

/**
 * Takes a folder for this process: two runs, or two processes of one phase, would write over each other. Whether
 * the holder lives is asked of the system on the same machine; on another its lock file's age tells.
 * @param patience milliseconds to wait for a holder that may be about to end
 * @throws InputError naming the holder
 */
export async function lockFolder(folder: string, patience = 0): Promise<FolderLock> {
  const path = join(folder, '.lock');
  const deadline = performance.now() + patience;
  for (;;) {
    const holder = take(path);
    if (holder === undefined) return held(path);
    if (performance.now() >= deadline) {
      throw new InputError(`${folder} is in use by process ${holder.pid} on ${holder.host}`, {
        hint: 'wait for it, stop it, or choose another --out',
      });
    }
    await sleep(RETRY_MS);
  }
}

/** @returns the live holder that stands in the way */
function take(path: string): Holder | undefined {
  const mine: Holder = { pid: process.pid, host: hostname(), started: startOf(process.pid) ?? '' };
  const draft = `${path}.${process.pid}`;
  return withFileErrors(path, () => {
    // Written whole before it has its name: another process never reads half of it.
    const file = openSync(draft, 'w');
    writeSync(file, JSON.stringify(mine));
    closeSync(file);
    try {
      for (;;) {
        try {
          linkSync(draft, path);
          return undefined;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
        const holder = holderOf(path);
        if (holder !== undefined && isAlive(holder, path)) return holder;
        setAside(path, holder, `${draft}.stale`);
      }
    } finally {
      rmSync(draft, { force: true });
    }
  });
}

/** Removes a dead holder's lock, unless another process was faster and it is that one's by now. */
function setAside(path: string, dead: Holder | undefined, aside: string): void {
  try {
    renameSync(path, aside);
    if (!isDeepStrictEqual(holderOf(aside), dead)) linkSync(aside, path);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

function held(path: string): FolderLock {
  const beat = setInterval(() => {
    try {
      const now = new Date();
      utimesSync(path, now, now);
    } catch {
      // Its folder may be gone for a moment, or for good: what is written next tells.
    }
  }, BEAT_MS);
  beat.unref();
  return {
    release() {
      clearInterval(beat);
      if (holderOf(path)?.pid === process.pid) rmSync(path, { force: true });
    },
  };
}

function holderOf(path: string): Holder | undefined {
  try {
    return holderSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data;
  } catch {
    return undefined;
  }
}

function isAlive(holder: Holder, path: string): boolean {
  if (holder.host === hostname()) return startOf(holder.pid) === holder.started;
  const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  return Date.now() - touched < STALE_MS;
}

/** When a process began, in ticks since the machine did: a later process of the same number began later. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, in brackets, may hold anything; state is the third, the start the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}
