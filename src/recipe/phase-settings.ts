import { InputError } from '../base/errors.js';
import { taskKind } from '../tasks/tasks.js';
import type { Recipe, TrainingOverride, TrainingSettings } from './recipe-schema.js';

type OptimizerName = TrainingSettings['optimizer']['name'];

/** The paper's defaults, as in the official code. */
const DEFAULTS: TrainingSettings = {
  epochs: 100,
  batch_size: 256,
  accumulate: 1,
  total_batch: null,
  loss: 'cross-entropy',
  bce_threshold: null,
  label_smoothing: 0.1,
  class_weights: null,
  clip_grad: null,
  drop_path: 0.1,
  drop_path_schedule: 'linear',
  precision: 'auto',
  activation_checkpointing: false,
  ema: null,
  freeze: [],
  curriculum: null,
  distill: null,
  eval_every: 1,
  early_stop: null,
  checkpoint_every: 60,
  keep_checkpoints: 2,
  log_every: 10,
  optimizer: {
    name: 'adamw',
    lr: 5e-4,
    lr_batch: 512,
    weight_decay: 0.05,
    decay_all: false,
    betas: [0.9, 0.999],
    eps: 1e-8,
    momentum: 0.9,
    nesterov: true,
    adjust_lr: null,
    matrix_lr_scale: null,
    layer_decay: null,
    backbone_lr_scale: null,
    sharded: false,
  },
  schedule: {
    kind: 'epoch-cosine',
    warmup: 20,
    warmup_lr: 1e-6,
    min_lr: 1e-5,
    power: 1,
    milestones: [],
    factor: 0.1,
    decay_share: 0.2,
  },
};

/** Different defaults for single optimisers, as chosen by their authors. */
const OF_OPTIMIZER: Partial<Record<OptimizerName, Partial<TrainingSettings['optimizer']>>> = {
  lamb: { eps: 1e-6 },
  lion: { betas: [0.9, 0.99] },
  muon: { momentum: 0.95, adjust_lr: 'match_rms_adamw', matrix_lr_scale: 1 },
};

/**
 * All settings of a phase. Later layers override earlier ones: the general defaults, those of the task and the phase, the
 * recipe's `training`, the recipe's `phases.<name>`.
 * @throws InputError if `total_batch` is not a multiple of `batch_size`
 */
export function phaseSettings(
  recipe: Pick<Recipe, 'training' | 'task'>,
  override: TrainingOverride,
  ofPhase: TrainingOverride = {},
): TrainingSettings {
  const given = [ofPhase, recipe.training, override];
  const name = given.reduce((last, { optimizer }) => optimizer?.name ?? last, DEFAULTS.optimizer.name);
  const { labelSmoothing } = taskKind(recipe.task);
  const ofTask = labelSmoothing === undefined ? {} : { label_smoothing: labelSmoothing };
  const layers = [DEFAULTS, ofTask, { optimizer: OF_OPTIMIZER[name] ?? {} }, ...given].map(defined);
  const settings: TrainingSettings = {
    ...Object.assign({}, ...layers),
    optimizer: Object.assign({}, ...layers.map((layer) => ('optimizer' in layer ? layer.optimizer : {}))),
    schedule: Object.assign({}, ...layers.map((layer) => ('schedule' in layer ? layer.schedule : {}))),
  };
  return { ...settings, accumulate: accumulateOf(settings) };
}

/** Without keys that a recipe in TypeScript sets to undefined: they have their defaults. */
function defined<T extends object>(layer: T): T {
  return Object.fromEntries(Object.entries(layer).filter(([, value]) => value !== undefined)) as T;
}

function accumulateOf({ total_batch: total, batch_size: size, accumulate }: TrainingSettings): number {
  if (total === null) return accumulate;
  if (total % size === 0) return total / size;
  throw new InputError(`total_batch ${total} is not a multiple of batch_size ${size}`, {
    hint: 'choose a batch_size that divides it; the rest is accumulated',
  });
}
