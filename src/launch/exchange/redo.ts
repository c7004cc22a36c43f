import { existsSync } from 'node:fs';
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { makeFolders, moveFolder, writeJsonAtomic } from '../../files/atomic.js';
import { withFileErrors } from '../../files/file-errors.js';
import { liveHolder } from '../../files/folder-lock.js';
import type { ModelFamily } from '../../models/family.js';
import { checkedImages, imagesPlannedFor } from '../../phase/images/run-data.js';
import type { RunPlan } from '../../plan/plan.js';
import { compile, phaseNamed } from '../../recipe/compile.js';
import { recipeHash } from '../../recipe/lineage.js';
import { dataOwnerOf, dependsOn, type Phase, type PhaseName } from '../../recipe/phase.js';
import { targetDepths } from '../../recipe/recipe-model.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { readJson, readResult, runFolder } from '../../run/run-folder.js';
import { requireSources } from '../lost-weights.js';
import { beginPrevious, moveSummary, nextPrevious } from '../more-epochs.js';
import { planOf } from '../prepare.js';
import { redoCommand } from '../recipe-change.js';
import { recipeOfRun } from '../run-recipe.js';
import { forgetJobs } from '../slurm/slurm-jobs.js';

export interface RedoOptions {
  /** Continue although the images differ from those that the kept phases were trained on. */
  readonly acceptDataChange?: boolean | undefined;
  /** Your own families of models. */
  readonly families?: readonly ModelFamily[] | undefined;
}

export interface Redone {
  /** Phases to train now: the phase, and the begun phases that start from it or change with it. */
  readonly phases: PhaseName[];
  /** Folder with their previous files; undefined if none of them had begun. */
  readonly previous: string | undefined;
  /** Set if the baseline is done and kept, but would now need a different number of steps to cost as much as the rest. */
  readonly baseline: { readonly steps: number; readonly planned: number } | undefined;
}

/**
 * Prepares a run to train a phase again: moves the phase and the phases that start from it to `previous/<n>/`, copies the
 * old recipe there, and writes the recipe with the new settings. The caller must hold the run.
 * @param settings `key=value` each, of the recipe; they must not change the result of a phase that is kept
 * @throws InputError naming a kept phase that would change or whose last checkpoint is missing or damaged, or the
 *   differences between the images; nothing has been moved then
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/redone');
 * await runPhase({ recipe, phase: 'PT', runDir: 'runs/redone', device: 'cpu' });
 * const { phases, previous } = redoPhase('runs/redone', 'PT', ['phases.PT.epochs=2']);
 * console.log(phases, previous);
 */
export function redoPhase(
  runDir: string,
  name: PhaseName,
  settings: readonly string[],
  options: RedoOptions = {},
): Redone {
  const before = recipeOfRun(runDir, [], options.families);
  const after = recipeOfRun(runDir, settings, options.families);
  const next = compile(after);
  const { dataOfRun } = phaseNamed(next, name);
  if (!isDeepStrictEqual(before.start, after.start)) {
    throw new InputError('start cannot be changed after a run has begun', { hint: 'choose another --out' });
  }
  const all = compile(before);
  const begun = all
    .map((phase) => phase.name)
    .filter((each) => existsSync(runFolder(runDir).phase(each).root));
  const dependents = begun.filter((each) => each === name || dependsOn(all, each, name));
  const changed = begun.filter((each) => !dependents.includes(each) && isChanged(each, all, next));
  // No phase starts from the baseline, so it may change.
  const lost = changed.filter((each) => each !== 'E2E');
  if (lost.length > 0) {
    throw changesOthers(name, lost, redoCommand(runDir, all, { changed: [name, ...lost], settings }));
  }

  const kept = begun.filter((each) => ![...dependents, ...changed].includes(each));
  // Check the images before anything is moved.
  const planned = imagesPlannedFor(runDir);
  const [{ images }] = dataOfRun.owners.map((owner) => {
    const isBegun = kept.some((each) => dataOwnerOf(dataOfRun, each) === owner);
    return checkedImages(next[0], runDir, owner, { acceptChange: options.acceptDataChange, isBegun });
  });
  const plan = planOf(next, images.train.length, (each) => (kept.includes(each) ? planned(each) : undefined));
  const baseline = kept.includes('E2E') ? costsOf(readJson(runFolder(runDir).plan), plan) : undefined;
  const isDone = readResult(runDir, 'E2E') !== undefined;
  // The schedule of an unfinished baseline would change, so it is trained again.
  if (baseline !== undefined && !isDone) changed.push('E2E');
  const moved = [...dependents, ...changed];
  const phases = [...new Set([name, ...moved])];
  requireSources(next, runDir, phases);
  const previous = setAside(runDir, moved);
  writeJsonAtomic(runFolder(runDir).recipe, after);
  writeJsonAtomic(runFolder(runDir).plan, plan);
  return { phases, previous, baseline: isDone ? baseline : undefined };
}

/** Steps of the baseline before and after, if they differ. */
function costsOf(...plans: readonly [before: unknown, after: RunPlan]): Redone['baseline'] {
  const [steps, planned] = plans.map((plan) => {
    const { phases }: { phases?: unknown } = Object(plan);
    const baseline: { steps?: unknown } | undefined = Array.isArray(phases)
      ? phases.map(Object).find(({ phase }) => phase === 'E2E')
      : undefined;
    return typeof baseline?.steps === 'number' ? baseline.steps : 0;
  });
  return steps === planned ? undefined : { steps, planned };
}

/** The settings that change the number of blocks of a module. */
export function depthSettings(
  recipe: Pick<Recipe, 'model' | 'name' | 'incubation'>,
  name: PhaseName,
  depth: number,
): string[] {
  if (!name.startsWith('MT/')) {
    throw new InputError(`${name} is not a module: its depth follows from the modules`, {
      hint: 'name a module, such as MT/0',
    });
  }
  const index = Number(name.slice('MT/'.length));
  const depths = targetDepths(recipe).map((each, i) => (i === index ? depth : each));
  const sum = depths.reduce((a, b) => a + b, 0);
  return [`incubation.depths=${JSON.stringify(depths)}`, `model.depth=${sum}`];
}

/** The named one of a run's phases, and the phases that start from it, without those that do not exist in the run. */
export function withDependents(all: readonly Phase[], runDir: string, name: PhaseName): PhaseName[] {
  return all
    .map((phase) => phase.name)
    .filter((each) => each === name || dependsOn(all, each, name))
    .filter((each) => existsSync(runFolder(runDir).phase(each).root));
}

/**
 * Moves phases to `previous/<n>/`, with the summary and the report that describe them, and copies the recipe there.
 * Nothing is lost.
 * @param phases each after the phases that it starts from
 * @returns the folder; undefined if there was nothing to move
 * @throws InputError naming a phase that is being trained; nothing has been moved then
 */
export function setAside(runDir: string, phases: readonly PhaseName[]): string | undefined {
  if (phases.length === 0) return undefined;
  for (const name of phases) requireIdle(runDir, name);
  const previous = nextPrevious(runDir);
  withFileErrors(previous, () => {
    beginPrevious(runDir, previous);
    // Move dependent phases first: if this is interrupted, no remaining phase depends on a phase that was moved.
    for (const name of [...phases].reverse()) {
      const target = runFolder(previous).phase(name).root;
      makeFolders(dirname(target));
      moveFolder(runFolder(runDir).phase(name).root, target);
    }
    moveSummary(runDir, previous);
    forgetJobs(runDir, phases);
  });
  return previous;
}

function requireIdle(runDir: string, name: PhaseName): void {
  const holder = liveHolder(runFolder(runDir).phase(name).root);
  if (holder === undefined) return;
  throw new InputError(`${runDir}: ${name} is being trained by process ${holder.pid} on ${holder.host}`, {
    hint: `stop it first: ${ownCommand('cancel', runDir)}`,
  });
}

function isChanged(name: PhaseName, before: readonly Phase[], after: readonly Phase[]): boolean {
  const [a, b] = [before, after].map((phases) => recipeHash(phaseNamed(phases, name)));
  return a !== b;
}

function changesOthers(name: PhaseName, lost: readonly PhaseName[], redo: string | undefined): InputError {
  const module = /^MT\/(\d+)$/.exec(name)?.[1];
  return new InputError(`these settings would also change ${lost.join(', ')}, not only ${name}`, {
    hint:
      module === undefined
        ? redo === undefined
          ? 'train a new run instead: choose another --out'
          : `retrain them and the phases that depend on them: ${redo}`
        : `settings of only this module are under phases.modules.${module}, such as phases.modules.${module}.epochs`,
  });
}
