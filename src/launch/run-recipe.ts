import { existsSync } from 'node:fs';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { withSettings } from '../recipe/settings.js';
import { readJson, requireRun, runFolder } from '../run/run-folder.js';
import { changesOf, requireSame } from './recipe-change.js';

/**
 * The recipe of a run.
 * @param settings each `key.path=value`; they override the recipe
 * @throws InputError if the folder is not a run
 */
export function recipeOfRun(runDir: string, settings: readonly string[] = []): Recipe {
  return writtenRecipeOf(runDir, settings).recipe;
}

/** Like `recipeOfRun`, but also returns the raw input. */
export function writtenRecipeOf(runDir: string, settings: readonly string[] = []): WrittenRecipe {
  const { recipe: source } = runFolder(runDir);
  requireRun(runDir);
  const input = withSettings(readJson(source), settings);
  return { input, recipe: checkedRecipe(input, source), source };
}

/** @throws InputError naming the settings that affect the result and differ from the recipe in the folder */
export function requireSameRecipe(runDir: string, recipe: Recipe): void {
  if (existsSync(runFolder(runDir).recipe)) requireSame(runDir, recipe, recipeOfRun(runDir));
}

/** Whether a recipe differs from that in the run's folder in settings that affect the result. */
export function isChangedRecipe(runDir: string, recipe: Recipe): boolean {
  return existsSync(runFolder(runDir).recipe) && changesOf(recipe, recipeOfRun(runDir)).length > 0;
}
