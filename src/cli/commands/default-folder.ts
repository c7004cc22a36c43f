import { join } from 'node:path';
import type { Recipe } from '../../recipe/recipe-schema.js';

/** The default folder of a recipe's run: its name, converted to a valid folder name. */
export function defaultFolder({ name }: Recipe): string {
  return join('runs', name.replaceAll(/[^\p{L}\p{N}._-]+/gu, '-').replace(/^\.+/, '') || 'run');
}
