export interface Difference {
  readonly key: string;
  /** The value as JSON; null if the recipe does not have the key. */
  readonly here: string | null;
  readonly there: string | null;
}

/** The settings in which two recipes differ, by path (`training.optimizer.lr`), in the order of the first recipe. */
export function recipeDifference(here: unknown, there: unknown): Difference[] {
  const own = new Map(leaves(here));
  const other = new Map(leaves(there));
  return [...new Set([...own.keys(), ...other.keys()])]
    .map((key) => ({ key, here: own.get(key) ?? null, there: other.get(key) ?? null }))
    .filter(({ here, there }) => here !== there);
}

/** Every value that is not an object, as JSON, with its path. */
export function leaves(value: unknown, path = ''): [key: string, json: string][] {
  const isBranch = typeof value === 'object' && value !== null && !Array.isArray(value);
  if (!isBranch) return path === '' ? [] : [[path, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([key, inner]) => leaves(inner, path === '' ? key : `${path}.${key}`));
}
