import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { compile, phaseOf } from '../recipe/compile.js';
import { effectOf } from '../recipe/key-effects.js';
import { recipeHash } from '../recipe/lineage.js';
import { commonStart, type Phase, type PhaseName } from '../recipe/phase.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { type Difference, recipeDifference } from '../recipe/recipe-difference.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { newestManifest } from '../run/checkpoint-store.js';
import { phasesIn, runFolder } from '../run/run-folder.js';

/** A setting that differs, and the phases that have begun with the old value. */
export interface Change extends Difference {
  readonly phases: readonly PhaseName[];
}

/** The settings in which a recipe differs from that of a run, without those that do not affect the result. */
export function changesOf(recipe: Recipe, before: Recipe): Difference[] {
  return recipeDifference(recipe, before).filter(({ key }) => effectOf(key) !== 'none');
}

/** The phases of a run that have a checkpoint. */
export function begunPhases(runDir: string): PhaseName[] {
  return (phasesIn(runDir) as PhaseName[]).filter(
    (name) => newestManifest(runFolder(runDir).phase(name).root) !== undefined,
  );
}

/**
 * The changes of a recipe that concern phases which have begun.
 * @throws InputError naming key, old and new value of the changes that would alter their results. More or fewer epochs are
 *   allowed: the phase is continued
 */
export function requireContinuable(runDir: string, recipe: Recipe, before: Recipe): Change[] {
  const begun = begunPhases(runDir);
  const changes = changesOf(recipe, before).map((change) => ({
    ...change,
    phases: begun.filter((name) => concerns(change, name, recipe, before)),
  }));
  const blocking = changes.filter(({ key, phases }) => phases.length > 0 && effectOf(key) !== 'length');
  if (blocking.length > 0) throw otherRecipe(runDir, before, blocking);
  return changes.filter(({ phases }) => phases.length > 0);
}

/** @throws InputError naming key, old and new value of each setting that differs */
export function requireSame(runDir: string, recipe: Recipe, before: Recipe): void {
  const changes = changesOf(recipe, before).map((change) => ({ ...change, phases: [] }));
  if (changes.length > 0) throw otherRecipe(runDir, before, changes);
}

/** The sources of a phase's weights and the order of its images are not in the hash of its settings. */
const OF_ALL = /^start(\.|$)/;
const OF_MODULES = /^incubation\.together$/;

function concerns({ key }: Difference, name: PhaseName, recipe: Recipe, before: Recipe): boolean {
  if (OF_ALL.test(key)) return true;
  if (OF_MODULES.test(key)) return name.startsWith('MT/');
  try {
    const changed = checkedRecipe(withKey(before, recipe, key.split('.')), 'the recipe');
    return recipeHash(phaseOf(changed, name)) !== recipeHash(phaseOf(before, name));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    // The change is only valid together with another change.
    return true;
  }
}

/** `before` with the value of one key from `after`. */
function withKey(before: unknown, after: unknown, [key, ...rest]: readonly string[]): unknown {
  const [old, now] = [asObject(before), asObject(after)];
  const { [key]: _, ...others } = old;
  if (rest.length === 0) return Object.hasOwn(now, key) ? { ...others, [key]: now[key] } : others;
  return { ...old, [key]: withKey(old[key], now[key], rest) };
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {};
}

const MOST_NAMED = 5;

function otherRecipe(runDir: string, before: Recipe, changes: readonly Change[]): InputError {
  const { recipe: path } = runFolder(runDir);
  const named = changes.slice(0, MOST_NAMED).map(changeText);
  const more = changes.length - named.length;
  const rest = more > 0 ? `; and ${more} more` : '';
  return new InputError(`${path} was written by another recipe: ${named.join('; ')}${rest}`, {
    hint: hintOf(runDir, before, changes),
  });
}

function hintOf(runDir: string, before: Recipe, changes: readonly Change[]): string {
  const resume = `resume it with its own recipe: ${ownCommand('run', runDir)}`;
  const changed = begunPhases(runDir).filter((name) => changes.some(({ phases }) => phases.includes(name)));
  const isSettable = !changes.some(({ key, here }) => here === null || OF_ALL.test(key));
  const settings = changes.map(({ key, here }) => `${key}=${here}`);
  const redo = isSettable ? redoCommand(runDir, compile(before), { changed, settings }) : undefined;
  if (redo === undefined) return `choose another --out; or ${resume}`;
  return `choose another --out; ${resume}; or retrain ${changed.join(', ')} and the phases that depend on them: ${redo}`;
}

/**
 * The command that trains phases of a run again, with different settings.
 * @param phases of the run
 * @param other `changed`: phases that the settings change; `settings`: `key=value` each
 * @returns undefined if no single phase comes before all of the changed phases
 */
export function redoCommand(
  runDir: string,
  phases: readonly Phase[],
  { changed, settings }: { readonly changed: readonly PhaseName[]; readonly settings: readonly string[] },
): string | undefined {
  const first = commonStart(phases, changed);
  if (first === undefined) return undefined;
  return ownCommand('redo', runDir, first, ...settings.flatMap((each) => ['--set', each]));
}

/** A setting with its new and its old value, as part of a message. */
function changeText({ key, here, there, phases }: Change): string {
  const whose = phases.length === 0 ? '' : ` (${phases.join(', ')})`;
  return `${key} ${here ?? 'unset'} instead of ${there ?? 'unset'}${whose}`;
}
