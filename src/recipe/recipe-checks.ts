import { InputError } from '../base/errors.js';
import { growPlan } from '../method/grow-plan.js';
import { auxiliaryCosts } from '../method/local/local-losses.js';
import { familyOf } from '../models/families/families.js';
import { requireTargets } from '../tasks/classification/class-target.js';
import { compile } from './compile.js';
import { requireCurricula } from './curriculum-checks.js';
import { isModule, type Phase, type PhaseName } from './phase.js';
import { targetDepths } from './recipe-model.js';
import type { Recipe } from './recipe-schema.js';
import { requireTaskKeys } from './recipe-task.js';
import type { TrainingOverride } from './recipe-training.js';

/**
 * Checks that the keys of a recipe are consistent with each other.
 * @param source for messages
 * @throws InputError naming the inconsistent keys
 */
export function checkTogether(recipe: Recipe, source: string): void {
  const { data, model, start } = recipe;
  const { channels } = model;
  if (data.mean.length !== channels || data.std.length !== channels) {
    throw new InputError(
      `${source}: data.mean and data.std need one number a channel, model.channels is ${channels}`,
    );
  }
  const above = [...data.mean, ...data.std].find((value) => Math.abs(value) > 1);
  if (above !== undefined) {
    throw new InputError(`${source}: data.mean and data.std are of pixels from 0 to 1, and hold ${above}`, {
      hint: 'divide values of pixels from 0 to 255 by 255',
    });
  }
  if (data.classes !== undefined && data.classes.length !== model.classes) {
    throw new InputError(
      `${source}: data.classes lists ${data.classes.length} names, model.classes is ${model.classes}`,
      { hint: `set model.classes to ${data.classes.length}, or list ${model.classes} names` },
    );
  }
  if (data.split !== undefined && data.eval_split === 'test') {
    throw new InputError(`${source}: data.split and data.eval_split: test: only one of them can be given`, {
      hint: 'data.split evaluates on held-out training images; data.eval_split: test on the test part of the data set',
    });
  }
  if (data.sampling === 'balanced' && !data.shuffle) {
    throw new InputError(`${source}: data.sampling: balanced and data.shuffle: false cannot be combined`, {
      hint: 'balanced sampling draws images at random: leave data.shuffle out',
    });
  }
  if (start.meta !== undefined && start.model !== undefined) {
    throw new InputError(`${source}: start.meta and start.model: only one of them can be given`, {
      hint: 'meta incubates modules in that meta model; model fine-tunes that model',
    });
  }
  familyOf(model).check(model, source);
  const { objective, distill } = recipe.phases.MT;
  if (objective === 'imitate' && (distill ?? recipe.training.distill ?? null) !== null) {
    throw new InputError(`${source}: phases.MT: objective imitate and distill cannot be combined`, {
      hint: 'a module that imitates learns only from the meta model: set phases.MT.distill to null',
    });
  }
  requireOneMethod(recipe, source);
  if (recipe.incubation === 'none') requireUndivided(recipe, source);
  const count = targetDepths(recipe).length;
  requireFewBlocks(recipe, count, source);
  requireGrowth(recipe.incubation, source);
  const all = compile(recipe);
  requireTaskKeys(recipe, all, source);
  requireLosses(all, source);
  requireMuonForItsKeys(recipe, all, source);
  requireCurricula(recipe, all, source);
  requireLocal(all, source);
  requireGrowable(all, source);
  requireSharable(all, source);
  for (const [index, own] of Object.entries(recipe.phases.modules ?? {})) {
    if (Number(index) >= count) {
      throw new InputError(`${source}: phases.modules.${index}: the modules are 0 to ${count - 1}`);
    }
    if (objective !== 'imitate' || (own.distill ?? null) === null) continue;
    throw new InputError(`${source}: phases.modules.${index}: a module that imitates cannot distill`);
  }
  const { augment } = data;
  if (augment !== 'none' && augment.three_augment && augment.auto !== null) {
    throw new InputError(`${source}: data.augment: three_augment and auto cannot be combined`, {
      hint: 'set data.augment.auto to null, or three_augment to false',
    });
  }
  const mixes = augment !== 'none' && (augment.mixup > 0 || augment.cutmix > 0);
  for (const { name, settings } of all) {
    if (!mixes || settings.batch_size % 2 === 0) continue;
    throw new InputError(`${source}: ${name}: batch_size ${settings.batch_size} is odd`, {
      hint: 'mixup and cutmix pair the images of a batch: choose an even batch_size, or turn them off',
    });
  }
}

/** A plan lists every block of every phase. */
const MOST_META_BLOCKS = 1000;

function requireFewBlocks({ incubation }: Recipe, modules: number, source: string): void {
  if (incubation === 'none' || modules * incubation.meta_depth <= MOST_META_BLOCKS) return;
  throw new InputError(
    `${source}: incubation.meta_depth ${incubation.meta_depth} makes a meta model of more than ${MOST_META_BLOCKS} blocks`,
    { hint: 'the paper has meta_depth 1: one block a module' },
  );
}

/** Without modules, there must be another phase to train, and its length must be set. */
function requireUndivided({ start, phases }: Recipe, source: string): void {
  if (start.meta !== undefined) {
    throw new InputError(
      `${source}: start.meta is set, but incubation is none: there are no modules to train in the meta model`,
    );
  }
  if (start.model !== undefined) return;
  if (phases.E2E === 'none') {
    throw new InputError(`${source}: incubation and phases.E2E are none: there is nothing to train`, {
      hint: 'give phases.E2E its epochs, or start.model, which FT then tunes',
    });
  }
  if (phases.E2E.epochs !== undefined) return;
  throw new InputError(
    `${source}: phases.E2E.epochs is missing: with incubation none, there are no other phases to match in cost`,
  );
}

/** With growth there are no modules, and the model cannot start fresh. */
function requireGrowth(incubation: Recipe['incubation'], source: string): void {
  if (incubation === 'none' || incubation.strategy !== 'growth') return;
  const hint = 'leave it out, or set incubation.strategy: modules';
  if (incubation.init === 'fresh') {
    throw new InputError(`${source}: incubation.init fresh: the model cannot grow from the meta model`, {
      hint,
    });
  }
  if (!incubation.together) return;
  throw new InputError(`${source}: incubation.together: no modules are incubated with strategy growth`, {
    hint,
  });
}

/** Checks that the modules can start as `incubation.init` says, before the meta model is trained. */
function requireGrowable(phases: readonly Phase[], source: string): void {
  for (const { blueprint, target, meta, regimes, init } of phases) {
    if (init === 'fresh') continue;
    for (const index of target.keys()) {
      if (regimes[index] !== 'trained') continue;
      try {
        growPlan(blueprint, { target, index, metaDepth: meta[index], init });
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        throw new InputError(`${source}: ${error.message}`, { hint: error.hint, cause: error });
      }
    }
  }
}

/** Checks the targets of `loss: bce`, and that its phases do not distill. */
function requireLosses(phases: readonly Phase[], source: string): void {
  for (const { name, settings, model } of phases) {
    const { loss, bce_threshold: bceThreshold, label_smoothing: labelSmoothing, distill } = settings;
    const { class_weights: weights } = settings;
    if (loss === 'bce' && distill !== null) {
      throw new InputError(`${source}: ${name}: loss bce and distill cannot be combined`, {
        hint: 'set loss to cross-entropy, or distill to null, in this phase',
      });
    }
    try {
      const { classes } = model;
      // The number of images of each class, which `balanced` needs, is not known yet.
      const classWeights = weights === 'balanced' ? new Array<number>(classes).fill(1) : weights;
      requireTargets({ classes, labelSmoothing, loss, bceThreshold, classWeights });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError(`${source}: ${name}: ${error.message}`, { hint: error.hint, cause: error });
    }
  }
}

/** A run with local losses trains no other model: its baseline would not be trained end to end. */
function requireOneMethod({ incubation, start, phases: { E2E } }: Recipe, source: string): void {
  if (E2E === 'none' || !E2E.local) return;
  const other =
    incubation !== 'none'
      ? 'incubation'
      : start.model === undefined
        ? undefined
        : `start.model ${start.model}`;
  if (other === undefined) return;
  throw new InputError(`${source}: phases.E2E.local and ${other} cannot be combined`, {
    hint: 'train the model with local losses in a run of its own, with incubation: none; `report` compares runs',
  });
}

/** Checks that the model, the images and the settings are possible with local losses. */
function requireLocal(phases: readonly Phase[], source: string): void {
  for (const { name, local, settings, data, blueprint, depths } of phases) {
    if (local === undefined) continue;
    const refuse = (what: string, hint: string) => {
      throw new InputError(`${source}: phases.${name}.local and ${what} cannot be combined`, { hint });
    };
    const { freeze, distill, curriculum, optimizer, batch_size: size } = settings;
    const resizes = curriculum?.some((stage) => stage.size !== undefined) ?? false;
    if (resizes) refuse('the sizes of curriculum', `set phases.${name}.curriculum to null`);
    if (freeze.length > 0) refuse('freeze', `set phases.${name}.freeze to []: the model starts from scratch`);
    if (distill !== null) refuse('distill', `set phases.${name}.distill to null`);
    if (optimizer.layer_decay !== null) {
      refuse('optimizer.layer_decay', `set phases.${name}.optimizer.layer_decay to null`);
    }
    if (optimizer.backbone_lr_scale !== null) {
      refuse('optimizer.backbone_lr_scale', `set phases.${name}.optimizer.backbone_lr_scale to null`);
    }
    if (local.method === 'infopro' && local.task === 'contrastive') {
      const hint =
        'set local.task to cross-entropy: the contrastive loss compares pairs of images by their labels';
      const { augment } = data;
      const mixes = augment !== 'none' && (augment.mixup > 0 || augment.cutmix > 0);
      if (mixes) refuse('mixup or cutmix', `${hint}, and mixed images have two`);
      if (size < 2) refuse(`batch_size ${size}`, hint);
    }
    try {
      auxiliaryCosts(blueprint, depths, local);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError(`${source}: phases.${name}: ${error.message}`, { hint: error.hint, cause: error });
    }
  }
}

/**
 * Linear drop-path rates rise over the depth of a hybrid, so hybrids of different depths have different rates in the shared
 * prefix.
 */
function requireSharable(phases: readonly Phase[], source: string): void {
  const modules = phases.filter(({ isShareable }) => isShareable);
  const depthOf = ({ depths }: Phase) => depths.reduce((a, b) => a + b, 0);
  if (new Set(modules.map(depthOf)).size <= 1) return;
  const isEqual = ({ settings }: Phase) =>
    settings.drop_path === 0 || settings.drop_path_schedule === 'constant';
  if (modules.every(isEqual)) return;
  throw new InputError(`${source}: incubation.together: modules of other depths have other drop-path rates`, {
    hint: 'choose modules of one depth, phases.MT.drop_path: 0, or phases.MT.drop_path_schedule: constant',
  });
}

const MUON_KEYS = ['adjust_lr', 'matrix_lr_scale'] as const;

interface Sections {
  readonly training: TrainingOverride;
  readonly phases: Partial<Record<'PT' | 'MT' | 'FT', TrainingOverride>> & {
    readonly E2E?: TrainingOverride | 'none' | undefined;
    readonly modules?: Readonly<Record<string, TrainingOverride>> | undefined;
  };
}

/**
 * Checks that keys of the optimiser muon are only in sections of phases that use it.
 * @throws InputError naming the key
 */
function requireMuonForItsKeys(
  { training, phases }: Sections,
  compiled: readonly Phase[],
  source: string,
): void {
  const usesMuon = (applies: (phase: Phase) => boolean) =>
    compiled.some((phase) => applies(phase) && phase.settings.optimizer.name === 'muon');
  const check = (
    section: string,
    given: TrainingOverride | 'none' | undefined,
    applies: (phase: Phase) => boolean,
  ) => {
    const optimizer = given === 'none' ? undefined : given?.optimizer;
    const key = MUON_KEYS.find((name) => (optimizer?.[name] ?? null) !== null);
    if (key === undefined || usesMuon(applies)) return;
    throw new InputError(`${source}: ${section}.optimizer.${key}: only the optimizer muon has this key`, {
      hint: `set ${section}.optimizer.name to muon, or leave out ${key}`,
    });
  };
  const isNamed = (name: PhaseName) => (phase: Phase) => phase.name === name;
  check('training', training, () => true);
  for (const name of ['PT', 'FT', 'E2E'] as const) check(`phases.${name}`, phases[name], isNamed(name));
  check('phases.MT', phases.MT, isModule);
  for (const [index, own] of Object.entries(phases.modules ?? {})) {
    check(`phases.modules.${index}`, own, isNamed(`MT/${Number(index)}`));
  }
}
