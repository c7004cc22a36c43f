import { existsSync } from 'node:fs';
import { familiesIn } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { withSettings } from '../recipe/settings.js';
import { readJson, requireRun, runFolder } from '../run/run-folder.js';
import { changesOf, requireSame } from './recipe-change.js';

/**
 * The recipe of a run.
 * @param settings each `key.path=value`; they override the recipe
 * @param families the user's own
 * @throws InputError if the folder is not a run
 */
export function recipeOfRun(
  runDir: string,
  settings: readonly string[] = [],
  families: readonly ModelFamily[] = [],
): Recipe {
  return writtenRecipeOf(runDir, settings, families).recipe;
}

/** Like `recipeOfRun`, but also returns the raw input. */
export function writtenRecipeOf(
  runDir: string,
  settings: readonly string[] = [],
  families: readonly ModelFamily[] = [],
): WrittenRecipe {
  const { recipe: source } = runFolder(runDir);
  requireRun(runDir);
  const input = withSettings(readJson(source), settings);
  return { input, recipe: checkedRecipe(input, source, families), source };
}

/** @throws InputError naming the settings that affect the result and differ from the recipe in the folder */
export function requireSameRecipe(runDir: string, recipe: Recipe): void {
  if (existsSync(runFolder(runDir).recipe)) requireSame(runDir, recipe, recipeLike(recipe, runDir));
}

/** Whether a recipe differs from that in the run's folder in settings that affect the result. */
export function isChangedRecipe(runDir: string, recipe: Recipe): boolean {
  return existsSync(runFolder(runDir).recipe) && changesOf(recipe, recipeLike(recipe, runDir)).length > 0;
}

/** The recipe of a run, which may be of the families of `recipe`. */
export function recipeLike({ model }: Recipe, runDir: string): Recipe {
  return recipeOfRun(runDir, [], familiesIn(model));
}
