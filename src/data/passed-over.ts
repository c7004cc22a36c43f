import { shownName } from '../files/file-names.js';

/** What is in a data set's folder and is not read, for one reason. */
export interface PassedOver {
  /** Such as `named .txt`. */
  readonly reason: string;
  readonly count: number;
  /** Paths of the first few. */
  readonly examples: readonly string[];
}

/** Told of each file or folder that is not read. */
export type OnPassedOver = (reason: string, path: string) => void;

export interface PassedOverTally {
  readonly add: OnPassedOver;
  /** By reason, the most frequent first. */
  list(): readonly PassedOver[];
}

const MOST_EXAMPLES = 3;
/** Where every file has an extension of its own, those beyond are counted together. */
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

/** Both lists as one. */
export function joinedPassedOver(lists: readonly (readonly PassedOver[] | undefined)[]): PassedOver[] {
  const found = new Map<string, PassedOver>();
  for (const each of lists.flatMap((list) => list ?? [])) {
    const before = found.get(each.reason);
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
