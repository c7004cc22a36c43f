import { lstatSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname, join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
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
export function ownHolder(folder: string): Holder {
  return { ...SELF, started: startOf(process.pid) ?? '', folder: realpathSync(folder) };
}

const SELF = { pid: process.pid, host: hostname() } as const;

/** Whether a holder is this process. The pid is not enough: processes on other machines or in other containers may share it. */
export function isSelf({ pid, host, started }: Holder): boolean {
  return pid === SELF.pid && host === SELF.host && started === (startOf(pid) ?? '');
}

/** Parses a lock file; undefined if it is missing or incomplete. */
export function holderOf(path: string): Holder | undefined {
  try {
    // Opening a pipe would block.
    if (!lstatSync(path).isFile()) return undefined;
    return holderSchema.safeParse(JSON.parse(readSmallText(path))).data;
  } catch {
    return undefined;
  }
}

/** Whether the process named in a lock of this machine is alive, and the lock is not a copy from the folder it really holds. */
export function livesHere(path: string, holder: Holder): boolean {
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
