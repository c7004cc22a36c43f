import { randomUUID } from 'node:crypto';
import {
  closeSync,
  linkSync,
  lstatSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { withFileErrors } from './file-errors.js';
import { startBeat } from './folder-lock-beat.js';
import { readSmallText } from './small-file.js';

const holderSchema = z.object({
  pid: z.int(),
  host: z.string(),
  started: z.string(),
  /** The folder, as an absolute path without links; missing in locks of older versions. */
  folder: z.string().optional(),
});

/** The holder of a folder, from its lock file. */
export type Holder = z.infer<typeof holderSchema>;

/** This process, as the holder of a folder. */
function ownHolder(folder: string): Holder {
  return { ...SELF, started: startOf(process.pid) ?? '', folder: realpathSync(folder) };
}

const SELF = { pid: process.pid, host: hostname() } as const;

/** Whether a holder is this process. The pid is not enough: processes on other machines or in other containers may share it. */
export function isSelf({ pid, host, started }: Holder): boolean {
  return pid === SELF.pid && host === SELF.host && started === (startOf(pid) ?? '');
}

/** Parses a lock file; undefined if it is missing or incomplete. */
function holderOf(path: string): Holder | undefined {
  try {
    // Opening a pipe would block.
    if (!lstatSync(path).isFile()) return undefined;
    return holderSchema.safeParse(JSON.parse(readSmallText(path))).data;
  } catch {
    return undefined;
  }
}

/** Whether the process named in a lock of this machine is alive, and the lock is not a copy from the folder it really holds. */
function livesHere(path: string, holder: Holder): boolean {
  return startOf(holder.pid) === holder.started && !isCopied(path, holder);
}

function isCopied(path: string, holder: Holder): boolean {
  const { folder } = holder;
  if (folder === undefined || !isDeepStrictEqual(holderOf(join(folder, '.lock')), holder)) return false;
  try {
    const [here, there] = [dirname(path), folder].map((each) => statSync(each));
    return here.dev !== there.dev || here.ino !== there.ino;
  } catch {
    return false;
  }
}

/** Start time of a process, in ticks since boot: it distinguishes processes that had the same pid. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, in parentheses, may contain anything; the state is the third, the start time the 22nd.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

/** Lock on a folder. One process holds it at a time; if that process is killed, the next one takes the lock over. */
export interface FolderLock {
  release(): void;
}

/** Timing for holders on other machines, in milliseconds. */
interface LockTiming {
  /** Interval at which a holder touches its lock. */
  readonly beatMs: number;
  /** The holder counts as alive if the lock's time is less than this before or after this machine's clock. */
  readonly staleMs: number;
  /** The holder counts as dead if the lock was watched for this long without a touch, because clocks differ and jump. */
  readonly confirmMs: number;
}

const TIMING: LockTiming = { beatMs: 10_000, staleMs: 60_000, confirmMs: 30_000 };
const RETRY_MS = 50;

/**
 * Locks a folder for this process: two runs, or two processes of one phase, would overwrite each other's files. For a holder
 * on this machine, the system is asked whether it is alive; for one on another machine, the lock file's touches show it.
 * @param patience milliseconds to wait for a holder that may be about to end
 * @throws InputError naming the holder
 */
export async function lockFolder(folder: string, patience = 0, timing = TIMING): Promise<FolderLock> {
  const path = lockPath(folder);
  const checkHolder = holderCheck(path, timing);
  const deadline = performance.now() + patience;
  for (;;) {
    const found = take(path, checkHolder);
    if (found === undefined) return held(path, timing.beatMs);
    const { holder, life } = found;
    if (life === 'alive' && performance.now() >= deadline) {
      throw new InputError(`${folder} is in use by process ${holder.pid} on ${holder.host}`, {
        hint: 'wait for it, stop it, or choose another --out',
      });
    }
    await sleep(RETRY_MS);
  }
}

/** The process that holds a folder, from a single check; undefined if the folder is free or its holder may be dead. */
export function liveHolder(folder: string): Holder | undefined {
  const path = lockPath(folder);
  const holder = holderOf(path);
  return holder !== undefined && holderCheck(path, TIMING)(holder) === 'alive' ? holder : undefined;
}

const lockPath = (folder: string) => join(folder, '.lock');

type Life = 'alive' | 'dead' | 'unsure';

/** Makes a function that decides whether the holder of one lock is alive. Its answers improve the longer it watches. */
function holderCheck(path: string, { staleMs, confirmMs }: LockTiming): (holder: Holder) => Life {
  let seen: { readonly touched: number; readonly since: number } | undefined;
  let wasTouched = false;
  return (holder) => {
    if (holder.host === hostname()) return livesHere(path, holder) ? 'alive' : 'dead';
    const now = performance.now();
    const touched = statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (seen?.touched !== touched) {
      wasTouched = seen !== undefined;
      seen = { touched, since: now };
    }
    if (now - seen.since >= confirmMs) return 'dead';
    // The other machine's clock may be ahead of this one.
    const apart = Math.abs(Date.now() - touched);
    return wasTouched || apart < staleMs ? 'alive' : 'unsure';
  };
}

/** @returns the holder that prevents taking the lock, or undefined if the lock was taken */
function take(path: string, check: (holder: Holder) => Life): { holder: Holder; life: Life } | undefined {
  // A unique name, even if a process on another machine has the same pid.
  const draft = `${path}.${randomUUID().slice(0, 8)}`;
  return withFileErrors(path, () => {
    // Written completely before it is linked to its name, so that no process reads half of it.
    const file = openSync(draft, 'wx');
    try {
      writeSync(file, JSON.stringify(ownHolder(dirname(path))));
    } finally {
      closeSync(file);
    }
    try {
      for (;;) {
        try {
          linkSync(draft, path);
          return undefined;
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
        }
        const holder = holderOf(path);
        const life = holder === undefined ? 'dead' : check(holder);
        if (holder !== undefined && life !== 'dead') return { holder, life };
        setAside(path, holder, `${draft}.stale`);
      }
    } finally {
      rmSync(draft, { force: true });
    }
  });
}

/** Removes a dead holder's lock, unless another process has taken the lock over by now. */
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

function held(path: string, beatMs: number): FolderLock {
  const beat = startBeat(path, beatMs);
  return {
    release() {
      beat.stop();
      try {
        const holder = holderOf(path);
        if (holder !== undefined && isSelf(holder)) rmSync(path, { force: true });
      } catch {
        // On a disk that became read-only, the lock file stays; once this process ends, its holder counts as dead.
      }
    },
  };
}
