import { InputError } from '../base/errors.js';
import { hybridDepths, hybridRegimes } from '../method/hybrid.js';
import type { Regime } from '../models/staged.js';
import { phaseSettings } from './phase-settings.js';
import { blueprintOf, metaDepthsOf, targetDepths } from './recipe-model.js';
import type { Recipe, TrainingOverride, TrainingSettings } from './recipe-schema.js';

/** `PT`, `MT/0` ..., `FT`, `E2E`. The name is also the phase's folder in the run. */
export type PhaseName = 'PT' | `MT/${number}` | 'FT' | 'E2E';

/** Source of a stage's initial weights: the result of a phase, a file from the recipe's `start`, or null (from scratch). */
export type Source = PhaseName | 'start.meta' | 'start.model' | null;

/** Description of a phase: which stages it builds, which of them train, and where their weights come from. */
export interface Phase {
  readonly name: PhaseName;
  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  /** Number of blocks in each module of the target model. Each stage stands for one of these modules. */
  readonly target: readonly number[];
  readonly regimes: readonly Regime[];
  /** Stage i starts from stage i of this phase's result or `start` file, or from scratch. */
  readonly sources: readonly Source[];
  /** Stage-local names of the parameters that are exempt from weight decay. */
  readonly undecayed: readonly string[];
  readonly settings: TrainingSettings;
  /** Train until the cost of all other phases is reached, instead of for `settings.epochs`. */
  readonly equalCost: boolean;
  /** imitate: the trained module learns the features of the meta stage that it replaces, not the labels. */
  readonly objective: 'classify' | 'imitate';
}

/**
 * The phases of a recipe, each after the phases that it starts from.
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * for (const { name, depths, regimes } of phasesOf(recipe)) console.log(name, depths, regimes);
 */
export function phasesOf(recipe: Recipe): Phase[] {
  const phases = ownPhases(recipe);
  const { E2E } = recipe.phases;
  if (E2E === 'none') return phases;
  const baseline: Phase = {
    ...finetuning(recipe),
    name: 'E2E',
    sources: targetDepths(recipe).map(() => null),
    settings: phaseSettings(recipe, E2E),
    equalCost: E2E.epochs === undefined,
  };
  return [...phases, baseline];
}

/** All phases except the baseline. */
function ownPhases(recipe: Recipe): Phase[] {
  const { start, incubation } = recipe;
  if (start.model !== undefined) return [finetuning(recipe)];
  if (incubation === 'none') return [];
  const before = start.meta === undefined ? [pretraining(recipe)] : [];
  return [...before, ...incubations(recipe), finetuning(recipe)];
}

function pretraining(recipe: Recipe): Phase {
  const meta = metaDepthsOf(recipe);
  return {
    name: 'PT',
    depths: meta,
    target: targetDepths(recipe),
    regimes: meta.map(() => 'trained'),
    sources: meta.map(() => null),
    undecayed: blueprintOf(recipe).undecayed,
    settings: phaseSettings(recipe, recipe.phases.PT, { epochs: 300, drop_path: 0 }),
    equalCost: false,
    objective: 'classify',
  };
}

function incubations(recipe: Recipe): Phase[] {
  const target = targetDepths(recipe);
  const meta = metaDepthsOf(recipe);
  const { objective, ...override } = recipe.phases.MT;
  const parent = recipe.start.meta === undefined ? 'PT' : 'start.meta';
  return target.map(
    (_, index): Phase => ({
      name: `MT/${index}`,
      depths: hybridDepths(target, meta, index),
      target,
      regimes: hybridRegimes(target.length, index),
      sources: target.map((_, stage) => (stage === index ? null : parent)),
      // As in the official code: a bare stage does not list exempt parameters, so all of them are decayed.
      undecayed: [],
      settings: phaseSettings(recipe, moduleSettings(recipe, override, index)),
      equalCost: false,
      objective,
    }),
  );
}

/** The settings for all modules, overridden by those of this module. */
function moduleSettings(recipe: Recipe, ofAll: TrainingOverride, index: number): TrainingOverride {
  const { data: _, ...own } = recipe.phases.modules?.[index] ?? {};
  return {
    ...ofAll,
    ...own,
    optimizer: { ...ofAll.optimizer, ...own.optimizer },
    schedule: { ...ofAll.schedule, ...own.schedule },
  };
}

function finetuning(recipe: Recipe): Phase {
  const target = targetDepths(recipe);
  const fromFile = recipe.start.model !== undefined;
  return {
    name: 'FT',
    depths: target,
    target,
    regimes: target.map(() => 'trained'),
    sources: target.map((_, index): Source => (fromFile ? 'start.model' : `MT/${index}`)),
    undecayed: blueprintOf(recipe).undecayed,
    settings: phaseSettings(recipe, recipe.phases.FT, { clip_grad: 1, schedule: { warmup: 0 } }),
    equalCost: false,
    objective: 'classify',
  };
}

/**
 * The phase with this name.
 * @throws InputError if the recipe has no such phase
 */
export function phaseOf(recipe: Recipe, name: PhaseName): Phase {
  const phases = phasesOf(recipe);
  const phase = phases.find((candidate) => candidate.name === name);
  if (phase !== undefined) return phase;
  throw new InputError(`${recipe.name} has no phase ${name}`, {
    hint: `its phases are ${namesText(phases.map((each) => each.name))}`,
  });
}

/**
 * The phases that a user names, without duplicates, in the order of the recipe. `MT` stands for all modules.
 * @throws InputError listing the recipe's phases, if a name is not one of them
 */
export function phasesNamed(recipe: Recipe, names: readonly string[]): PhaseName[] {
  const all = phasesOf(recipe).map(({ name }) => name);
  const modules = all.filter((name) => name.startsWith('MT/'));
  const meant = names.flatMap((name) =>
    name === 'MT' && modules.length > 0 ? modules : [phaseOf(recipe, name as PhaseName).name],
  );
  return all.filter((name) => meant.includes(name));
}

function namesText(names: readonly PhaseName[]): string {
  const all = names.join(', ');
  return names.some((name) => name.startsWith('MT/')) ? `${all}; MT means all modules` : all;
}

/** The named phases and all unfinished phases that they start from, in the order of the recipe. */
export function withNeeds(
  all: readonly Phase[],
  names: readonly PhaseName[],
  isDone: (name: PhaseName) => boolean,
): PhaseName[] {
  const wanted = new Set(names);
  // Each phase comes after the phases that it starts from.
  for (const phase of [...all].reverse()) {
    if (wanted.has(phase.name)) for (const need of needsOf(phase)) if (!isDone(need)) wanted.add(need);
  }
  return all.map(({ name }) => name).filter((name) => wanted.has(name));
}

/** Whether a phase starts from another phase, directly or indirectly. */
export function dependsOn(phases: readonly Phase[], name: PhaseName, other: PhaseName): boolean {
  const own = phases.filter((phase) => phase.name === name);
  return own.flatMap(needsOf).some((need) => need === other || dependsOn(phases, need, other));
}

/** The last phase that each named phase is or depends on. The baseline is ignored unless it is the only name. */
export function commonStart(phases: readonly Phase[], names: readonly PhaseName[]): PhaseName | undefined {
  const others = names.filter((name) => name !== 'E2E');
  if (others.length === 0) return names[0];
  const all = phases.map(({ name }) => name).reverse();
  return all.find((each) => others.every((name) => name === each || dependsOn(phases, name, each)));
}

/** The phases whose results a phase starts from. */
export function needsOf(phase: Phase): PhaseName[] {
  const sources = phase.sources.filter((source) => source !== null);
  return [...new Set(sources.filter((source) => source !== 'start.meta' && source !== 'start.model'))];
}
