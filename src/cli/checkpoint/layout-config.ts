import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { writeJsonAtomic } from '../../files/atomic.js';

/** Writes a `config.json` next to the weights `out`. Keeps an existing file unless `force` is set. */
export function writeLayoutConfig(
  out: string,
  config: object,
  force: boolean,
): { readonly path: string; readonly isWritten: boolean } {
  const path = join(dirname(out), 'config.json');
  if (existsSync(path) && !force) return { path, isWritten: false };
  writeJsonAtomic(path, config);
  return { path, isWritten: true };
}
