import { join } from 'node:path';
import type { Recipe } from '../../recipe/recipe-schema.js';

/** Where a recipe's run is, unless said otherwise: its name as one folder's name. */
export function defaultFolder({ name }: Recipe): string {
  return join('runs', name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^\.+/, '') || 'run');
}
