import { type PhaseRun, runPhase } from '../phase/run-phase.js';
import type { PhaseName } from '../recipe/phase.js';
import { phaseOf } from '../recipe/phases.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import type { PhaseResult } from '../run/records.js';
import { requireSameRecipe } from './run-recipe.js';
import { givenWeights } from './start/given-weights.js';
import { keepMissing } from './start/start-keep.js';

export interface RecipePhaseRun extends Omit<PhaseRun, 'phase' | 'given'> {
  readonly recipe: Recipe;
  readonly phase: PhaseName;
}

/**
 * Trains one phase of a recipe in this process, from its last checkpoint if it has one, and writes its metrics, log,
 * checkpoints and result to the run folder. With a group, all processes of the group call this: they share the
 * micro-batches of every step, and rank 0 writes. The commands `report`, `watch` and `status` work on a folder that
 * `prepareRun` has made.
 *
 * @throws InputError if the device does not exist, the folder belongs to another recipe or is in use, the images differ from
 *   those that the run was trained on, or a phase that this one starts from is not done
 * @throws Interrupted after `signal` is aborted; the next call resumes from there
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/mine');
 * const { steps, loss } = await runPhase({ recipe, phase: 'PT', runDir: 'runs/mine', device: 'cpu' });
 * console.log(steps, loss);
 */
export async function runRecipePhase({ recipe, phase, ...run }: RecipePhaseRun): Promise<PhaseResult> {
  const compiled = phaseOf(recipe, phase);
  if (run.group === undefined || run.group.rank === 0) {
    requireSameRecipe(run.runDir, recipe);
    await keepMissing(compiled, run.runDir);
  }
  return runPhase({ ...run, phase: compiled, given: givenWeights });
}
