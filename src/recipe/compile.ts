import { InputError } from '../base/errors.js';
import { hybridDepths, hybridRegimes } from '../method/hybrid.js';
import type { LocalLosses } from '../method/local/local-losses.js';
import { familiesIn, familyOf } from '../models/families/families.js';
import { type DataOfRun, dataOf, type Phase, type PhaseName, type Source } from './phase.js';
import { phaseSettings } from './phase-settings.js';
import {
  isDividedTogether,
  isGrown,
  localDepths,
  metaDepthsOf,
  modelConfigOf,
  moduleInitOf,
  targetDepths,
} from './recipe-model.js';
import type { Recipe, TrainingOverride } from './recipe-schema.js';
import type { LocalSettings } from './recipe-training.js';
import { chosenTask, taskOf } from './task-of.js';

/**
 * The phases of a recipe, each after the phases that it starts from. A phase has everything that is needed to plan and train
 * it; nothing below reads the recipe.
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * for (const { name, depths, regimes } of phasesOf(recipe)) console.log(name, depths, regimes);
 */
export function compile(recipe: Recipe): Phase[] {
  const { start, incubation, phases } = recipe;
  const parts = partsOf(recipe);
  const tuning = finetuning(parts);
  const isTuned = start.model !== undefined;
  const isPretrained = start.meta === undefined;
  const modules = () => (isGrown(recipe) ? [] : incubations(parts));
  const divided = () => [...(isPretrained ? [pretraining(parts)] : []), ...modules(), tuning];
  const own = isTuned ? [tuning] : incubation === 'none' ? [] : divided();
  const { E2E } = phases;
  if (E2E === 'none') return own;
  return [...own, scratch(parts, E2E, own)];
}

/** The whole model from scratch, end to end or by local losses. */
function scratch(
  parts: Parts,
  { local, ...override }: Exclude<Recipe['phases']['E2E'], 'none'>,
  own: readonly Phase[],
): Phase {
  const { recipe, blueprint } = parts;
  const equalCost = override.epochs === undefined;
  const target = local ? localDepths(recipe, local) : parts.target;
  return phaseOfParts(
    { ...parts, target },
    {
      name: 'E2E',
      depths: target,
      regimes: target.map(() => 'trained'),
      sources: target.map(() => null),
      undecayed: blueprint.undecayed,
      settings: phaseSettings(recipe, override),
      equalCost,
      costOf: equalCost ? own : [],
      local: local ? lossesOf(local) : undefined,
    },
  );
}

function lossesOf(local: LocalSettings): LocalLosses {
  if (local.method === 'dgl') return { method: 'dgl' };
  const { method, task, reconstruction, prediction } = local;
  return { method, task, reconstruction, prediction };
}

/** What the phases of a recipe have in common. */
interface Parts {
  readonly recipe: Recipe;
  readonly target: readonly number[];
  readonly meta: readonly number[];
  readonly config: Phase['config'];
  readonly blueprint: Phase['blueprint'];
  readonly dataOfRun: DataOfRun;
}

function partsOf(recipe: Recipe): Parts {
  const config = modelConfigOf(recipe);
  return {
    recipe,
    target: targetDepths(recipe),
    meta: metaDepthsOf(recipe),
    config,
    blueprint: familyOf(recipe.model).blueprint(config),
    dataOfRun: dataOfRecipe(recipe),
  };
}

/** The images of all phases of a recipe. A module may train on different images than the run. */
function dataOfRecipe({ data, phases, incubation }: Recipe): DataOfRun {
  const modules = Object.entries(isGrown({ incubation }) ? {} : (phases.modules ?? {})).flatMap(
    ([index, own]) =>
      own.data === undefined ? [] : [{ name: `MT/${Number(index)}` as const, own: own.data }],
  );
  return {
    run: data,
    modules: Object.fromEntries(modules.map(({ name, own }) => [name, { ...data, ...own }])),
    owners: ['run', ...modules.filter(({ own }) => own.path !== undefined).map(({ name }) => name)],
  };
}

type Own = Pick<Phase, 'name' | 'depths' | 'regimes' | 'sources' | 'undecayed' | 'settings'> &
  Partial<Pick<Phase, 'init' | 'equalCost' | 'costOf' | 'objective' | 'local'>>;

/** A phase from what is its own and what all phases of the recipe have in common. */
function phaseOfParts({ recipe, target, meta, config, blueprint, dataOfRun }: Parts, own: Own): Phase {
  const { name, depths, regimes, sources, undecayed, settings } = own;
  const { init = 'fresh', equalCost = false, costOf = [], objective = 'classify', local } = own;
  const { seed, start, model, run } = recipe;
  const data = dataOf(dataOfRun, name);
  const isTogether = isDividedTogether(recipe) && name.startsWith('MT/');
  return {
    name,
    recipeName: recipe.name,
    seed,
    depths,
    target,
    meta,
    regimes,
    sources,
    init,
    start,
    model,
    config,
    blueprint,
    // Sections of checkpoints come from files, so they do not carry the user's families.
    familyOf: (section) => familyOf(section, familiesIn(model)),
    undecayed,
    data,
    dataOfRun,
    ...chosenTask(recipe),
    task: (device, classCounts) => taskOf(recipe, config, device, { ...settings, classCounts }),
    objective,
    local,
    settings,
    equalCost,
    costOf,
    key: isTogether ? 'MT' : name,
    isShareable: isTogether && moduleOf(recipe, name) === undefined,
    run,
    hparams: hparamsOf(recipe, { name, data, settings }),
    settingKeys: {
      batch_size: settingKey(recipe, name, 'batch_size'),
      total_batch: settingKey(recipe, name, 'total_batch'),
    },
  };
}

function hparamsOf(
  { name, seed, model, incubation }: Recipe,
  own: Pick<Phase, 'name' | 'data' | 'settings'>,
): Phase['hparams'] {
  return { name, phase: own.name, seed, model, incubation, data: own.data, training: own.settings };
}

/** The section of a single module, if the recipe has one. */
function moduleOf({ phases }: Recipe, name: string) {
  return phases.modules?.[name.slice('MT/'.length)];
}

/** The key that sets a setting of a phase; the key in `training` if the recipe does not state it. */
function settingKey(recipe: Recipe, name: string, key: 'batch_size' | 'total_batch'): string {
  const module = /^MT\/(\d+)$/.exec(name)?.[1];
  const { phases } = recipe;
  const sections: readonly (readonly [section: string, given: unknown])[] = [
    ...(module === undefined
      ? []
      : ([
          [`phases.modules.${module}`, moduleOf(recipe, name)],
          ['phases.MT', phases.MT],
        ] as const)),
    [`phases.${name}`, Object(phases)[name]],
  ];
  const [section] = sections.find(([, given]) => Object(given)[key] !== undefined) ?? ['training'];
  return `${section}.${key}`;
}

function pretraining(parts: Parts): Phase {
  const { recipe, meta, blueprint } = parts;
  return phaseOfParts(parts, {
    name: 'PT',
    depths: meta,
    regimes: meta.map(() => 'trained'),
    sources: meta.map(() => null),
    undecayed: blueprint.undecayed,
    settings: phaseSettings(recipe, recipe.phases.PT, { epochs: 300, drop_path: 0 }),
  });
}

function incubations(parts: Parts): Phase[] {
  const { recipe, target, meta } = parts;
  const { objective, ...override } = recipe.phases.MT;
  const [parent, init] = [metaSource(parts), moduleInitOf(recipe)];
  return target.map((_, index) =>
    phaseOfParts(parts, {
      name: `MT/${index}`,
      depths: hybridDepths(target, meta, index),
      regimes: hybridRegimes(target.length, index),
      sources: target.map((_, stage) => (stage === index && init === 'fresh' ? null : parent)),
      init,
      // As in the official code: a bare stage does not list exempt parameters, so all of them are decayed.
      undecayed: [],
      settings: phaseSettings(recipe, moduleSettings(recipe, override, index)),
      objective,
    }),
  );
}

/** The settings for all modules, overridden by those of this module. */
function moduleSettings(recipe: Recipe, ofAll: TrainingOverride, index: number): TrainingOverride {
  const { data: _, ...own } = moduleOf(recipe, `MT/${index}`) ?? {};
  return {
    ...ofAll,
    ...own,
    optimizer: { ...ofAll.optimizer, ...own.optimizer },
    schedule: { ...ofAll.schedule, ...own.schedule },
  };
}

/** Where the meta model comes from. */
function metaSource({ recipe }: Parts): Source {
  return recipe.start.meta === undefined ? 'PT' : 'start.meta';
}

function finetuning(parts: Parts): Phase {
  const { recipe, target, blueprint } = parts;
  const fromFile = recipe.start.model !== undefined;
  const grows = isGrown(recipe) && !fromFile;
  const source = (index: number): Source =>
    fromFile ? 'start.model' : grows ? metaSource(parts) : `MT/${index}`;
  return phaseOfParts(parts, {
    name: 'FT',
    depths: target,
    regimes: target.map(() => 'trained'),
    sources: target.map((_, index) => source(index)),
    init: grows ? moduleInitOf(recipe) : 'fresh',
    undecayed: blueprint.undecayed,
    settings: phaseSettings(recipe, recipe.phases.FT, { clip_grad: 1, schedule: { warmup: 0 } }),
  });
}

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
