import { checkStart, type StartedRecipe } from '../../launch/start-check.js';
import type { WrittenRecipe } from '../../recipe/recipe.js';
import { downloaded } from '../checkpoint/open-checkpoint.js';
import { note, noteAssumed } from '../terminal/output.js';

/** Prints the number of classes that `model.classes: auto` found. */
export function noteClassesFound({ classesFound, recipe }: WrittenRecipe): void {
  if (classesFound === undefined) return;
  const where = recipe.data.classes === undefined ? (recipe.data.path ?? recipe.data.format) : 'data.classes';
  note(`model.classes: auto: ${classesFound} classes (${where})`);
}

/**
 * `checkStart` with output for the user: prints what is taken from the weights that a recipe starts from, and what is assumed.
 * @param quiet print only assumptions
 * @throws the errors of `checkStart` and `localCheckpoint`
 */
export async function startedRecipe(
  written: WrittenRecipe,
  runDir: string,
  { quiet = false }: { readonly quiet?: boolean | undefined } = {},
): Promise<Pick<StartedRecipe, 'recipe' | 'weights'>> {
  const download = (name: string) => downloaded(name, note);
  const { recipe, weights, notes, assumptions } = await checkStart(written, runDir, { note, download });
  if (!quiet) for (const line of notes) note(line);
  noteAssumed(assumptions);
  return { recipe, weights };
}
