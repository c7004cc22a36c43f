/** A setting in a flat list. */
export type Scalar = string | number | boolean;

/**
 * Settings as a flat list: `training.optimizer.lr`. Arrays become JSON; null values are left out.
 * @param key path of `value` itself
 */
export function flattened(value: unknown, key = ''): [key: string, value: Scalar][] {
  if (value === null || value === undefined) return [];
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return [[key, value]];
  if (Array.isArray(value)) return [[key, JSON.stringify(value)]];
  return Object.entries(value).flatMap(([name, part]) =>
    flattened(part, key === '' ? name : `${key}.${name}`),
  );
}
