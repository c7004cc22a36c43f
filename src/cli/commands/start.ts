import { checkStart } from '../../launch/start-check.js';
import type { WrittenRecipe } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { downloaded } from '../checkpoint/download.js';
import { noteAssumed } from '../terminal/assumed.js';
import { note } from '../terminal/output.js';

/**
 * `checkStart` as a user sees it: says what is taken from the weights that a recipe starts from, and what is assumed.
 * @param quiet assumptions alone are printed
 * @throws what `checkStart` and `localCheckpoint` throw
 */
export async function startedRecipe(
  written: WrittenRecipe,
  runDir: string,
  { quiet = false }: { readonly quiet?: boolean | undefined } = {},
): Promise<Recipe> {
  const download = (name: string) => downloaded(name, note);
  const { recipe, notes, assumptions } = await checkStart(written, runDir, { note, download });
  if (!quiet) for (const line of notes) note(line);
  noteAssumed(assumptions);
  return recipe;
}
