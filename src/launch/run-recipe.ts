import { existsSync } from 'node:fs';
import { familiesIn } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import { withSettings } from '../recipe/recipe-file.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { hasBegun, readJson, requireRun, runFolder } from '../run/run-folder.js';
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

// Choices that a run makes when it begins, and records in its recipe.json.

type Sections = Readonly<Record<string, unknown>>;

/** Keys that are filled in from weights, so they may be missing in the recipe when the user gives it again. */
const RECORDED = [
  ['data', 'classes'],
  ['data', 'mean'],
  ['data', 'std'],
  ['data', 'eval_crop'],
  ['data', 'exif'],
  ['data', 'grey16'],
  ['model', 'layer_norm_eps'],
  ['model', 'pool'],
  ['model', 'fc_norm'],
  ['start', 'weights'],
] as const;

/**
 * The recipe of a run that has begun, with the values that the run has recorded for the keys that the recipe leaves out. If
 * the run has not begun, the recipe as it is.
 * @throws InputError if the recorded values do not fit the recipe
 */
export function recordedRecipe(written: WrittenRecipe, runDir: string): WrittenRecipe {
  const { recipe: path } = runFolder(runDir);
  if (!hasBegun(runDir) || !existsSync(path)) return written;
  const input = withRecorded(written.input, readJson(path));
  return { input, recipe: checkedRecipe(input, written.source), source: written.source };
}

/** A recipe as written, with the values that the run has recorded for the keys that it leaves out. */
function withRecorded(input: unknown, recorded: unknown): unknown {
  let result = Object(input) as Sections;
  for (const path of RECORDED) {
    const value = at(recorded, path);
    if (at(input, path) === undefined && value !== undefined) result = replaced(result, path, value);
  }
  for (const path of distillPaths(input)) {
    const normalise = at(recorded, [...path, 'normalise']);
    if (at(input, [...path, 'normalise']) === undefined && normalise !== undefined) {
      result = replaced(result, [...path, 'normalise'], normalise);
    }
  }
  return result;
}

/** A new run's recipe as written, with `normalise: own` for each teacher for which it leaves this key out. */
export function withOwnTeachers(input: unknown): unknown {
  let result = Object(input) as Sections;
  for (const path of distillPaths(input)) {
    if (at(input, [...path, 'normalise']) === undefined)
      result = replaced(result, [...path, 'normalise'], 'own');
  }
  return result;
}

/** Paths of the sections in which a recipe names teachers. */
function distillPaths(input: unknown): string[][] {
  const phases = Object.keys(Object(at(input, ['phases']))).filter((name) => name !== 'modules');
  const modules = Object.keys(Object(at(input, ['phases', 'modules'])));
  const paths = [
    ['training'],
    ...phases.map((name) => ['phases', name]),
    ...modules.map((index) => ['phases', 'modules', index]),
  ];
  return paths
    .map((path) => [...path, 'distill'])
    .filter((path) => at(at(input, path), ['teacher']) !== undefined);
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (section, key) =>
      typeof section === 'object' && section !== null ? (section as Sections)[key] : undefined,
    value,
  );
}

function replaced(section: unknown, [key, ...rest]: readonly string[], value: unknown): Sections {
  const before = typeof section === 'object' && section !== null ? (section as Sections) : {};
  return { ...before, [key]: rest.length === 0 ? value : replaced(before[key], rest, value) };
}
