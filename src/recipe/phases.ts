import { InputError } from '../base/errors.js';
import { compile } from './compile.js';
import type { Phase, PhaseName } from './phase.js';
import type { Recipe } from './recipe-schema.js';

/**
 * The phase with this name.
 * @throws InputError if the recipe has no such phase
 */
export function phaseOf(recipe: Recipe, name: PhaseName): Phase {
  return phaseNamed(compile(recipe), name);
}

/**
 * The phase with this name.
 * @param phases of a recipe
 * @throws InputError if there is no such phase
 */
export function phaseNamed(phases: readonly Phase[], name: PhaseName): Phase {
  const phase = phases.find((candidate) => candidate.name === name);
  if (phase !== undefined) return phase;
  throw new InputError(`${phases[0].recipeName} has no phase ${name}`, {
    hint: `its phases are ${namesText(phases.map((each) => each.name))}`,
  });
}

/**
 * The phases that a user names, without duplicates, in the order of the recipe. `MT` stands for all modules.
 * @throws InputError listing the phases, if a name is not one of them
 */
export function phasesNamed(phases: readonly Phase[], names: readonly string[]): PhaseName[] {
  const all = phases.map(({ name }) => name);
  const modules = all.filter((name) => name.startsWith('MT/'));
  const meant = names.flatMap((name) =>
    name === 'MT' && modules.length > 0 ? modules : [phaseNamed(phases, name as PhaseName).name],
  );
  return all.filter((name) => meant.includes(name));
}

function namesText(names: readonly PhaseName[]): string {
  const all = names.join(', ');
  return names.some((name) => name.startsWith('MT/')) ? `${all}; MT means all modules` : all;
}
