import { InputError } from '../base/errors.js';
import { hybridDepths, hybridRegimes } from '../method/hybrid.js';
import type { Regime } from '../models/staged.js';
import { phaseSettings } from './phase-settings.js';
import { blueprintOf, metaDepthsOf, targetDepths } from './recipe-model.js';
import type { Recipe, TrainingOverride, TrainingSettings } from './recipe-schema.js';

/** `PT`, `MT/0` ..., `FT`, `E2E`: also the phase's folder in the run. */
export type PhaseName = 'PT' | `MT/${number}` | 'FT' | 'E2E';

/** Where a stage's first weights come from: a phase's result, a file that the recipe's `start` names, or nowhere. */
export type Source = PhaseName | 'start.meta' | 'start.model' | null;

/** A phase, as data: which stages it builds, which of them train, and where their weights come from. */
export interface Phase {
  readonly name: PhaseName;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** Blocks of each module of the target: what the stages stand for. */
  readonly target: readonly number[];
  readonly regimes: readonly Regime[];
  /** Stage i starts from stage i of that phase's result, or of a file of `start`, or from scratch. */
  readonly sources: readonly Source[];
  /** Parameters that weight decay leaves alone, by stage-local name. */
  readonly undecayed: readonly string[];
  readonly settings: TrainingSettings;
  /** Train until the cost of all other phases is reached, not for `settings.epochs`. */
  readonly equalCost: boolean;
  /** imitate: the trained module learns the features of the meta stage in its place, not the labels. */
  readonly objective: 'classify' | 'imitate';
}

/**
 * The phases of a recipe, each after those it starts from.
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

/** All but the baseline. */
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
      // As the official code: a bare stage does not say which names to leave alone, so they are decayed.
      undecayed: [],
      settings: phaseSettings(recipe, moduleSettings(recipe, override, index)),
      equalCost: false,
      objective,
    }),
  );
}

/** What all modules have of their own, and this one before that. */
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

/** The phase of that name. */
export function phaseOf(recipe: Recipe, name: PhaseName): Phase {
  const phases = phasesOf(recipe);
  const phase = phases.find((candidate) => candidate.name === name);
  if (phase !== undefined) return phase;
  throw new InputError(`${recipe.name} has no phase ${name}`, {
    hint: `its phases are ${namesText(phases.map((each) => each.name))}`,
  });
}

/**
 * The phases that a user names, each once, in the order of the recipe. `MT` stands for all modules.
 * @throws InputError listing those that the recipe has, where one is not among them
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

/** Phases with all that they start from and that is not done, in the order of the recipe. */
export function withNeeds(
  all: readonly Phase[],
  names: readonly PhaseName[],
  isDone: (name: PhaseName) => boolean,
): PhaseName[] {
  const wanted = new Set(names);
  // Each phase comes after those it starts from.
  for (const phase of [...all].reverse()) {
    if (wanted.has(phase.name)) for (const need of needsOf(phase)) if (!isDone(need)) wanted.add(need);
  }
  return all.map(({ name }) => name).filter((name) => wanted.has(name));
}

/** Whether a phase starts from another, directly or not. */
export function dependsOn(phases: readonly Phase[], name: PhaseName, other: PhaseName): boolean {
  const own = phases.filter((phase) => phase.name === name);
  return own.flatMap(needsOf).some((need) => need === other || dependsOn(phases, need, other));
}

/** The last phase that all of these are or start from; the baseline, from which nothing starts, counts only by itself. */
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
