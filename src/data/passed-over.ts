import { isDeepStrictEqual } from 'node:util';
import { shownName } from '../files/file-names.js';

/** Files and folders in a data set's folder that are not read, for one reason. */
export interface PassedOver {
  /** For example `named .txt`. */
  readonly reason: string;
  readonly count: number;
  /** Paths of the first few of them. */
  readonly examples: readonly string[];
}

/** Called for each file or folder that is not read. */
export type OnPassedOver = (reason: string, path: string) => void;

interface PassedOverTally {
  readonly add: OnPassedOver;
  /** One entry per reason, the most frequent first. */
  list(): readonly PassedOver[];
}

const MOST_EXAMPLES = 3;
/** Further reasons are counted together, in case every file has a different extension. */
const MOST_REASONS = 50;

export function passedOverTally(): PassedOverTally {
  const found = new Map<string, { count: number; examples: string[] }>();
  return {
    add: (reason, path) => {
      const key = found.has(reason) || found.size < MOST_REASONS ? reason : 'of other kinds';
      const entry = found.get(key) ?? { count: 0, examples: [] };
      found.set(key, entry);
      entry.count++;
      if (entry.examples.length < MOST_EXAMPLES) entry.examples.push(shownName(path));
    },
    list: () =>
      Array.from(found, ([reason, { count, examples }]) => ({ reason, count, examples })).sort(
        (a, b) => b.count - a.count,
      ),
  };
}

/** Merges the lists, with one entry per reason. Two parts of a data set may list the same files of one folder. */
export function joinedPassedOver(lists: readonly (readonly PassedOver[] | undefined)[]): PassedOver[] {
  const found = new Map<string, PassedOver>();
  for (const each of lists.flatMap((list) => list ?? [])) {
    const before = found.get(each.reason);
    if (isDeepStrictEqual(before, each)) continue;
    const examples = [...new Set([...(before?.examples ?? []), ...each.examples])].slice(0, MOST_EXAMPLES);
    found.set(each.reason, { reason: each.reason, count: (before?.count ?? 0) + each.count, examples });
  }
  return [...found.values()].sort((a, b) => b.count - a.count);
}

/** `not read: 2 named .txt (a/b.txt, a/c.txt)` */
export function passedOverLine({ reason, count, examples }: PassedOver): string {
  const more = count > examples.length ? ', ...' : '';
  return `not read: ${count.toLocaleString('en-US')} ${reason} (${examples.join(', ')}${more})`;
}
