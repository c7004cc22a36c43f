import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { writeJsonAtomic } from '../../files/atomic.js';
import { type TimmFacts, timmConfig } from '../../models/vit/layout-timm-config.js';
import type { Geometry } from '../../models/vit/weights-geometry.js';

/**
 * Writes timm's `config.json` with the class names, next to weights from `convert`. Keeps an existing file unless `force` is set.
 */
export function writeTimmConfig(
  out: string,
  geometry: Geometry,
  { force, ...facts }: Omit<TimmFacts, 'weightsFile'> & { readonly force: boolean },
): { readonly path: string; readonly isWritten: boolean } {
  const path = join(dirname(out), 'config.json');
  if (existsSync(path) && !force) return { path, isWritten: false };
  writeJsonAtomic(path, timmConfig(geometry, { ...facts, weightsFile: basename(out) }));
  return { path, isWritten: true };
}
