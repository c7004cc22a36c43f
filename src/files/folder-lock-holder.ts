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
  /** The folder, as an absolute path without links; locks of older versions do not tell it. */
  folder: z.string().optional(),
});

/** Who holds a folder, as its lock file tells. */
export type Holder = z.infer<typeof holderSchema>;

/** This process, as the holder of a folder. */
export function ownHolder(folder: string): Holder {
  return { ...SELF, started: startOf(process.pid) ?? '', folder: realpathSync(folder) };
}

const SELF = { pid: process.pid, host: hostname() } as const;

/** Whether a holder is this process: on other machines, and in other containers, others have its number. */
export function isSelf({ pid, host, started }: Holder): boolean {
  return pid === SELF.pid && host === SELF.host && started === (startOf(pid) ?? '');
}

/** Who a lock file names; nothing where there is none, or only half of one. */
export function holderOf(path: string): Holder | undefined {
  try {
    // A pipe would be waited for.
    if (!lstatSync(path).isFile()) return undefined;
    return holderSchema.safeParse(JSON.parse(readSmallText(path))).data;
  } catch {
    return undefined;
  }
}

/** Whether the process that a lock on this machine names lives, and holds this folder: not the one this is a copy of. */
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
