import { Interrupted } from '../base/errors.js';
import { holdRun, removeRunLeftovers } from '../launch/hold-run.js';
import { reopenLost } from '../launch/lost-weights.js';
import { ownRecord } from '../launch/own-record.js';
import { type PreparedRun, prepareRun } from '../launch/prepare.js';
import { requireSameRecipe } from '../launch/run-recipe.js';
import { givenWeights } from '../launch/start/given-weights.js';
import { keepMissing, keepWeights } from '../launch/start/start-copy-write.js';
import { checkStart } from '../launch/start-check.js';
import { type PhaseRun, runPhase } from '../phase/run-phase.js';
import { compile, phaseOf } from '../recipe/compile.js';
import type { PhaseName } from '../recipe/phase.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import type { Activity } from '../run/phase-status.js';
import type { PhaseResult } from '../run/records.js';
import { readResult } from '../run/run-folder.js';
import { concludeRun } from './conclude-run.js';
import { startTracking } from './track-run.js';

export interface RunRecipeOptions extends Pick<RecipePhaseRun, 'recipe' | 'runDir' | 'signal' | 'note'> {
  /** `cpu`, `cuda`, `cuda:<n>`, or `auto` (the default): the first GPU, or the CPU if there is none. */
  readonly device?: string;
  /** Called with the current activity, at least once per step. */
  readonly onProgress?: (phase: PhaseName, activity: Activity) => void;
}

/**
 * Trains a recipe in this process, one phase after the other, in a run folder as the command `run` writes it. A second call
 * resumes: finished phases are kept, and the others continue from their last checkpoint. The recipe may be for a model of
 * your own (`defineFamily`). At the end it writes `summary.json` and the report, as `run` does.
 *
 * @returns the results of all phases
 * @throws InputError if the folder is in use or belongs to another recipe, or the images differ
 * @throws Interrupted after `signal` is aborted; the next call resumes from there
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * const results = await runRecipe({ recipe, runDir: 'runs/here', device: 'cpu' });
 * for (const { phase, loss } of results) console.log(phase, loss);
 */
export async function runRecipe(options: RunRecipeOptions): Promise<PhaseResult[]> {
  const { runDir, note = () => {} } = options;
  const lock = await holdRun(runDir);
  try {
    const prepared = await prepare(options);
    const { recipe } = prepared;
    const results: PhaseResult[] = [];
    const tracking = await startTracking(prepared, note);
    try {
      for (const { name } of compile(recipe)) {
        results.push(readResult(runDir, name) ?? (await trained({ ...options, recipe }, name)));
      }
    } finally {
      await tracking.end();
    }
    for (const line of (await concludeRun(prepared)).notes) note(line);
    return results;
  } finally {
    lock.release();
  }
}

/** Checks and prepares the run, with its copies of the weights that it starts from. */
async function prepare({ recipe: given, runDir, note = () => {} }: RunRecipeOptions): Promise<PreparedRun> {
  const written = { recipe: given, input: given, source: 'the recipe' };
  const { recipe, weights, notes, assumptions } = await checkStart(written, runDir, { note });
  for (const line of notes) note(line);
  for (const text of assumptions) note(`assumed: ${text}`);
  const prepared = prepareRun(recipe, runDir, { note });
  keepWeights(runDir, weights);
  removeRunLeftovers(runDir);
  reopenLost({ phases: compile(recipe), runDir }, note);
  return prepared;
}

async function trained(options: RunRecipeOptions, phase: PhaseName): Promise<PhaseResult> {
  const { recipe, runDir, device = 'auto', onProgress, signal, note } = options;
  const record = ownRecord(runDir, phase, {});
  record.running();
  try {
    const result = await runRecipePhase({
      recipe,
      runDir,
      phase,
      device,
      note,
      ...(signal && { signal }),
      ...(onProgress && { onProgress: (activity) => onProgress(phase, activity) }),
    });
    record.done();
    return result;
  } catch (error) {
    if (error instanceof Interrupted) record.stopped();
    else record.failed(error);
    throw error;
  }
}

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
