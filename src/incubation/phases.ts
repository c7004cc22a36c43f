import { InputError } from '../base/errors.js';
import type { Regime } from '../models/staged.js';
import { hybridDepths, hybridRegimes } from './hybrid.js';
import { metaDepths } from './meta-model.js';
import { blueprintOf, targetDepths } from './recipe.js';
import type { Recipe, TrainingOverride, TrainingSettings } from './recipe-schema.js';

/** `PT`, `MT/0` ..., `FT`, `E2E`: also the phase's folder in the run. */
export type PhaseName = 'PT' | `MT/${number}` | 'FT' | 'E2E';

/** A phase, as data: which stages it builds, which of them train, and where their weights come from. */
export interface Phase {
  readonly name: PhaseName;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  readonly regimes: readonly Regime[];
  /** Stage i starts from stage i of that phase's result, or from scratch. */
  readonly sources: readonly (PhaseName | null)[];
  /** Parameters that weight decay leaves alone, by stage-local name. */
  readonly undecayed: readonly string[];
  readonly settings: TrainingSettings;
  /** Train until the cost of all other phases is reached, not for `settings.epochs`. */
  readonly equalCost: boolean;
}

/** The phases of a recipe, each after those it starts from. */
export function phasesOf(recipe: Recipe): Phase[] {
  const target = targetDepths(recipe);
  const meta = metaDepths(target.length, recipe.incubation.meta_depth);
  const { undecayed } = blueprintOf(recipe);
  const everyStage = <T>(value: T) => target.map(() => value);
  const { E2E } = recipe.phases;

  const pretraining: Phase = {
    name: 'PT',
    depths: meta,
    regimes: everyStage('trained'),
    sources: everyStage(null),
    undecayed,
    settings: phaseSettings(recipe, recipe.phases.PT, { epochs: 300, drop_path: 0 }),
    equalCost: false,
  };
  const incubations = target.map(
    (_, index): Phase => ({
      name: `MT/${index}`,
      depths: hybridDepths(target, meta, index),
      regimes: hybridRegimes(target.length, index),
      sources: target.map((_, stage) => (stage === index ? null : 'PT')),
      // As the official code: a bare stage does not say which names to leave alone, so they are decayed.
      undecayed: [],
      settings: phaseSettings(recipe, recipe.phases.MT),
      equalCost: false,
    }),
  );
  const finetuning: Phase = {
    name: 'FT',
    depths: target,
    regimes: everyStage('trained'),
    sources: target.map((_, index) => `MT/${index}` as const),
    undecayed,
    settings: phaseSettings(recipe, recipe.phases.FT, { clip_grad: 1, schedule: { warmup: 0 } }),
    equalCost: false,
  };
  const phases = [pretraining, ...incubations, finetuning];
  if (E2E === 'none') return phases;
  const baseline: Phase = {
    ...finetuning,
    name: 'E2E',
    sources: everyStage(null),
    settings: phaseSettings(recipe, E2E),
    equalCost: E2E.epochs === undefined,
  };
  return [...phases, baseline];
}

/** The phase of that name. */
export function phaseOf(recipe: Recipe, name: PhaseName): Phase {
  const phase = phasesOf(recipe).find((candidate) => candidate.name === name);
  if (phase !== undefined) return phase;
  throw new InputError(`${recipe.name} has no phase ${name}`, {
    hint: `its phases are ${phasesOf(recipe)
      .map((each) => each.name)
      .join(', ')}`,
  });
}

/** The phases whose results a phase starts from. */
export function needsOf(phase: Phase): PhaseName[] {
  return [...new Set(phase.sources.filter((source) => source !== null))];
}

/** Defaults: the paper's (method.md section 2), as the official code has them. */
const DEFAULTS: TrainingSettings = {
  epochs: 100,
  batch_size: 256,
  accumulate: 1,
  label_smoothing: 0.1,
  clip_grad: null,
  drop_path: 0.1,
  precision: 'float32',
  eval_every: 1,
  checkpoint_every: 60,
  log_every: 10,
  optimizer: { name: 'adamw', lr: 5e-4, lr_batch: 512, weight_decay: 0.05, betas: [0.9, 0.999], eps: 1e-8 },
  schedule: { kind: 'epoch-cosine', warmup: 20, warmup_lr: 1e-6, min_lr: 1e-5 },
};

/** Later layers win: the general defaults, the phase's own, the recipe's `training`, its `phases.<name>`. */
function phaseSettings(
  recipe: Recipe,
  override: TrainingOverride,
  ofPhase: TrainingOverride = {},
): TrainingSettings {
  const layers = [DEFAULTS, ofPhase, recipe.training, override];
  return {
    ...Object.assign({}, ...layers),
    optimizer: Object.assign({}, ...layers.map((layer) => layer.optimizer)),
    schedule: Object.assign({}, ...layers.map((layer) => layer.schedule)),
  };
}
