import { existsSync } from 'node:fs';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import { hasBegun, readJson, runFolder } from '../run/run-folder.js';

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
