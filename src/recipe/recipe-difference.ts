export interface Difference {
  readonly key: string;
  /** As JSON; null where the recipe has no such key. */
  readonly here: string | null;
  readonly there: string | null;
}

/** The settings in which two recipes differ, by their path (`training.optimizer.lr`), in the order of the first. */
export function recipeDifference(here: unknown, there: unknown): Difference[] {
  const own = new Map(leaves(here));
  const other = new Map(leaves(there));
  return [...new Set([...own.keys(), ...other.keys()])]
    .map((key) => ({ key, here: own.get(key) ?? null, there: other.get(key) ?? null }))
    .filter(({ here, there }) => here !== there);
}

/** Every value that is no object, as JSON, by its path. */
export function leaves(value: unknown, path = ''): [key: string, json: string][] {
  const isBranch = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isBranch) return path === '' ? [] : [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
}
