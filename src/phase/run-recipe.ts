import { existsSync } from 'node:fs';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { withSettings } from '../recipe/settings.js';
import { readJson, requireRun, runFolder } from '../run/run-folder.js';
import { changesOf, requireSame } from './recipe-change.js';

/**
 * The recipe of a run.
 * @param settings `key.path=value` each, which replace what it says
 * @throws InputError when the folder is not a run's
 */
export function recipeOfRun(runDir: string, settings: readonly string[] = []): Recipe {
  return writtenRecipeOf(runDir, settings).recipe;
}

/** `recipeOfRun`, with what the run has recorded. */
export function writtenRecipeOf(runDir: string, settings: readonly string[] = []): WrittenRecipe {
  const { recipe: source } = runFolder(runDir);
  requireRun(runDir);
  const input = withSettings(readJson(source), settings);
  return { input, recipe: checkedRecipe(input, source), source };
}

/** @throws InputError naming the settings in which the recipe is not that of the folder, where they have a say in a result */
export function requireSameRecipe(runDir: string, recipe: Recipe): void {
  if (existsSync(runFolder(runDir).recipe)) requireSame(runDir, recipe, recipeOfRun(runDir));
}

/** Whether a recipe is another than that of the run's folder, in what has a say in a result. */
export function isChangedRecipe(runDir: string, recipe: Recipe): boolean {
  return existsSync(runFolder(runDir).recipe) && changesOf(recipe, recipeOfRun(runDir)).length > 0;
}
