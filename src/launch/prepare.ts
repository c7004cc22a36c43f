import { existsSync } from 'node:fs';
import { versions } from '../base/versions.js';
import type { Dataset } from '../data/dataset.js';
import type { PassedOver } from '../data/passed-over.js';
import { makeFolders, writeFileAtomic, writeJsonAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { isSelf, liveHolder } from '../files/folder-lock.js';
import { heldOutLine, openImagesOf, settingsOf, trainImagesOf } from '../phase/images/images.js';
import { imbalanceLine } from '../phase/images/imbalance.js';
import {
  type CheckedImages,
  checkedImages,
  imagesPlannedFor,
  isOwnerBegun,
} from '../phase/images/run-data.js';
import { planPhases, type RunPlan, requireEnough, type TrainImages } from '../plan/plan.js';
import { compile } from '../recipe/compile.js';
import type { Phase, PhaseName } from '../recipe/phase.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { hasBegun, phasesIn, readResult, runFolder } from '../run/run-folder.js';
import { continuation, reopen, type Side } from './more-epochs.js';
import { type Change, requireContinuable, requireSame } from './recipe-change.js';
import { isChangedRecipe, recipeLike } from './run-recipe.js';

/** A run whose folder contains its recipe and plan. */
export interface PreparedRun {
  readonly recipe: Recipe;
  readonly runDir: string;
  readonly plan: RunPlan;
  /** Files and folders next to the images that are not read. */
  readonly passedOver: readonly PassedOver[];
}

export interface PrepareOptions {
  /** Continue with images that differ from those that the run was trained on, and record the differences. Default false. */
  readonly acceptDataChange?: boolean | undefined;
  /** Called with notes for the user: assumptions, accepted differences and changes. */
  readonly note?: ((line: string) => void) | undefined;
}

/**
 * Prepares a run's folder for training: checks the images and writes `recipe.json`, `data.json` and `plan.json`. An existing
 * run is continued if the results of begun phases stay the same. These may change: settings of phases that have not begun,
 * the length of a phase, and settings that do not affect the result.
 * @throws InputError if the recipe or the images differ from those that the run was trained with
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * const { plan } = prepareRun(recipe, 'runs/prepared');
 * console.log(plan.disk_bytes);
 */
export function prepareRun(recipe: Recipe, runDir: string, options: PrepareOptions = {}): PreparedRun {
  const folder = runFolder(runDir);
  requireChangeable(runDir, recipe);
  const phases = compile(recipe);
  const checked =
    isChangedRecipe(runDir, recipe) || !isDone(phases, runDir) ? checkImages(phases, runDir, options) : [];
  const images = checked[0]?.images ?? openImagesOf(settingsOf(phases[0], 'run'));
  const { train, passedOver } = images;
  const planned = imagesPlannedFor(runDir);
  const plan = planOf(phases, train.length, planned);
  // Check again: reading many images takes time, and another process may have begun.
  const change = requireChangeable(runDir, recipe);
  const { notes, reopened } =
    change === undefined
      ? { notes: [], reopened: [] }
      : continuation(runDir, change.changes, {
          now: { phases, plan },
          before: sideOf(compile(change.before), train.length, planned),
        });
  withFileErrors(runDir, () => {
    makeFolders(runDir);
    for (const each of checked) each.record();
    // Reopen before writing the recipe: a phase without a result is continued with either recipe.
    reopen(runDir, reopened);
    writeJsonAtomic(folder.recipe, { ...recipe, versions: versions() });
    writeJsonAtomic(folder.plan, plan);
    if (isPart(recipe)) writeFileAtomic(folder.images, listOf(train));
  });
  const split = heldOutLine(recipe.data, images);
  const imbalance = imbalanceLine(phases, train);
  for (const line of [split, imbalance, ...notes]) if (line !== undefined) options.note?.(line);
  return { recipe, runDir, plan, passedOver };
}

const isDone = (phases: readonly Phase[], runDir: string): boolean =>
  phases.every(({ name }) => readResult(runDir, name) !== undefined);

/** The images of the run, then those of modules with their own images. */
function checkImages(
  [phase]: readonly Phase[],
  runDir: string,
  { acceptDataChange: acceptChange, note }: PrepareOptions,
): CheckedImages[] {
  const isHeld = isTrainedByOthers(runDir);
  return phase.dataOfRun.owners.map((owner) =>
    checkedImages(phase, runDir, owner, {
      acceptChange,
      note,
      isBegun: isHeld || isOwnerBegun(runDir, owner),
    }),
  );
}

/**
 * The plan of a run for a number of training images.
 * @param phases of the run
 * @param planned returns the number of images that a kept phase was planned with
 * @throws InputError if there are too few images
 */
export function planOf(
  phases: readonly Phase[],
  trainImages: number,
  planned: (name: PhaseName) => number | undefined = () => undefined,
): RunPlan {
  requireEnough(phases, trainImagesOf(phases[0], trainImages));
  return sideOf(phases, trainImages, planned).plan;
}

/** Phases with their plan, without a check. */
function sideOf(
  phases: readonly Phase[],
  trainImages: number,
  planned: (name: PhaseName) => number | undefined,
): Side {
  const imagesOf = trainImagesOf(phases[0], trainImages);
  return { phases, plan: planPhases(phases, (name) => planned(name) ?? imagesOf(name)) };
}

/** Whether another process holds the run or one of its phases. Such a process reads the recipe whenever a phase begins. */
function isTrainedByOthers(runDir: string): boolean {
  const folders = [runDir, ...phasesIn(runDir).map((phase) => runFolder(runDir).phase(phase).root)];
  return folders.map(liveHolder).some((holder) => holder !== undefined && !isSelf(holder));
}

/**
 * Checks that the recipe changes only the length of phases, and phases that have not begun and that no other process is
 * about to train.
 * @returns the changes that concern phases which have begun, and the previous recipe; undefined if nothing has begun
 */
function requireChangeable(
  runDir: string,
  recipe: Recipe,
): { readonly changes: readonly Change[]; readonly before: Recipe } | undefined {
  if (!existsSync(runFolder(runDir).recipe)) return undefined;
  const isHeld = isTrainedByOthers(runDir);
  if (!isHeld && !hasBegun(runDir)) return undefined;
  const before = recipeLike(recipe, runDir);
  if (isHeld) requireSame(runDir, recipe, before);
  return { changes: requireContinuable(runDir, recipe, before), before };
}

/** Whether training uses only a part of the images, which is then recorded. */
function isPart({ data }: Recipe): boolean {
  return data.fraction < 1 || data.train_images !== undefined;
}

function listOf(dataset: Dataset): string {
  return Array.from({ length: dataset.length }, (_, i) => `${dataset.describe(i)}\n`).join('');
}

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
