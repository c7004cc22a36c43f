import { planPhases, type RunPlan, type TrainImages } from '../plan/plan.js';
import { compile } from '../recipe/compile.js';
import type { Recipe } from '../recipe/recipe-schema.js';

/**
 * Plans every phase of a recipe on a data set of `trainImages` images.
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * for (const { phase, steps, block_passes } of planRun(recipe, 50_000).phases) console.log(phase, steps, block_passes);
 */
export function planRun(recipe: Recipe, trainImages: TrainImages): RunPlan {
  return planPhases(compile(recipe), trainImages);
}
