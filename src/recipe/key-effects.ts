/**
 * Effect of changing a key after a phase has begun.
 * - `result`: the phase would have a different result.
 * - `length`: the phase trains longer or shorter, and can be continued.
 * - `none`: the result is the same except for rounding; the key may be changed at any time.
 */
export type KeyEffect = 'result' | 'length' | 'none';

type Effects = Readonly<Record<string, KeyEffect>>;

/** Effects of the keys in `training` and in each phase. */
const TRAINING: Effects = {
  epochs: 'length',
  batch_size: 'result',
  accumulate: 'result',
  total_batch: 'result',
  loss: 'result',
  bce_threshold: 'result',
  label_smoothing: 'result',
  class_weights: 'result',
  clip_grad: 'result',
  drop_path: 'result',
  drop_path_schedule: 'result',
  precision: 'result',
  // The recomputed activations are the same.
  activation_checkpointing: 'none',
  ema: 'result',
  freeze: 'result',
  curriculum: 'result',
  distill: 'result',
  'distill.teacher': 'result',
  'distill.kind': 'result',
  'distill.alpha': 'result',
  'distill.tau': 'result',
  'distill.weights': 'result',
  'distill.normalise': 'result',
  // Determines which checkpoint is the best.
  eval_every: 'result',
  early_stop: 'result',
  'early_stop.patience': 'result',
  'early_stop.min_delta': 'result',
  checkpoint_every: 'none',
  keep_checkpoints: 'none',
  log_every: 'none',
  'optimizer.name': 'result',
  'optimizer.lr': 'result',
  'optimizer.lr_batch': 'result',
  'optimizer.weight_decay': 'result',
  'optimizer.decay_all': 'result',
  'optimizer.betas': 'result',
  'optimizer.eps': 'result',
  'optimizer.momentum': 'result',
  'optimizer.nesterov': 'result',
  'optimizer.adjust_lr': 'result',
  'optimizer.matrix_lr_scale': 'result',
  'optimizer.layer_decay': 'result',
  // The optimiser state is the same wherever it is stored.
  'optimizer.sharded': 'none',
  'schedule.kind': 'result',
  'schedule.warmup': 'result',
  'schedule.warmup_lr': 'result',
  'schedule.min_lr': 'result',
  'schedule.power': 'result',
  'schedule.milestones': 'result',
  'schedule.factor': 'result',
  'schedule.decay_share': 'result',
  // Only in MT and in single modules.
  objective: 'result',
  // The location of the images does not matter; data.json records which images were used.
  'data.path': 'none',
  'data.fraction': 'result',
  'data.train_images': 'result',
};

const OTHERS: Effects = {
  name: 'none',
  seed: 'result',
  'model.family': 'result',
  'model.blocks': 'result',
  'model.widths': 'result',
  'model.shortcut': 'result',
  'model.preset': 'result',
  'model.image_size': 'result',
  'model.patch_size': 'result',
  'model.channels': 'result',
  'model.classes': 'result',
  'model.width': 'result',
  'model.depth': 'result',
  'model.heads': 'result',
  'model.mlp_ratio': 'result',
  'model.qkv_bias': 'result',
  'model.layer_norm_eps': 'result',
  'model.class_token': 'result',
  'model.pool': 'result',
  'model.fc_norm': 'result',
  'model.distilled': 'result',
  'model.no_embed_class': 'result',
  'model.layer_scale': 'result',
  'model.zero_init': 'result',
  incubation: 'result',
  'incubation.modules': 'result',
  'incubation.depths': 'result',
  'incubation.meta_depth': 'result',
  'incubation.strategy': 'result',
  'incubation.init': 'result',
  'incubation.together': 'result',
  'data.format': 'result',
  'data.path': 'none',
  'data.category': 'result',
  'data.classes': 'result',
  'data.eval_split': 'result',
  'data.split': 'result',
  'data.split.val': 'result',
  'data.split.seed': 'result',
  'data.fraction': 'result',
  'data.train_images': 'result',
  'data.eval_images': 'result',
  'data.mean': 'result',
  'data.std': 'result',
  'data.eval_crop': 'result',
  'data.exif': 'result',
  'data.grey16': 'result',
  'data.augment': 'result',
  'data.augment.crop': 'result',
  'data.augment.crop_padding': 'result',
  'data.augment.crop_scale': 'result',
  'data.augment.crop_ratio': 'result',
  'data.augment.flip': 'result',
  'data.augment.auto': 'result',
  'data.augment.three_augment': 'result',
  'data.augment.color_jitter': 'result',
  'data.augment.erase': 'result',
  'data.augment.mixup': 'result',
  'data.augment.cutmix': 'result',
  'data.augment.mix_prob': 'result',
  'data.augment.mix_switch': 'result',
  'data.augment.repeats': 'result',
  'data.augment.fast_decode': 'result',
  'data.sampling': 'result',
  'data.shuffle': 'result',
  // Without unreadable images the result is the same. With one, `fail` ends the phase without a result, and `replace`
  // logs each replaced image.
  'data.bad_images': 'none',
  'start.meta': 'result',
  'start.model': 'result',
  'start.head': 'result',
  'start.weights': 'result',
  'phases.E2E': 'result',
  'run.device': 'none',
  'run.parallel': 'none',
  'run.ranks': 'none',
  'run.threads': 'none',
  'run.workers': 'none',
  'run.tensorboard': 'none',
  'run.tensorboard.images': 'none',
  'run.tensorboard.histograms_every': 'none',
  'run.samples': 'none',
  'run.slurm.partition': 'none',
  'run.slurm.account': 'none',
  'run.slurm.qos': 'none',
  'run.slurm.time': 'none',
  'run.slurm.nodes': 'none',
  'run.slurm.gpus': 'none',
  'run.slurm.cpus': 'none',
  'run.slurm.mem': 'none',
  'run.slurm.restarts': 'none',
  'run.slurm.warning': 'none',
  'run.slurm.setup': 'none',
  'run.slurm.args': 'none',
  'run.kubernetes.image': 'none',
  'run.kubernetes.namespace': 'none',
  'run.kubernetes.claim': 'none',
  'run.kubernetes.mount': 'none',
  'run.kubernetes.gpus': 'none',
  'run.kubernetes.cpus': 'none',
  'run.kubernetes.mem': 'none',
  'run.kubernetes.restarts': 'none',
};

const TRAINING_SECTION = /^(?:training|phases\.(?:PT|MT|FT|E2E|modules\.\d+))\.(.+)$/;

/**
 * Effect of changing a recipe key after a phase has begun.
 * @param key path of the key, such as `phases.MT.optimizer.lr`
 * @returns undefined if the key is not classified
 */
export function knownEffect(key: string): KeyEffect | undefined {
  if (key.startsWith('versions.')) return 'none';
  const [, setting] = TRAINING_SECTION.exec(key) ?? [];
  const [effects, own] = setting === undefined ? [OTHERS, key] : [TRAINING, setting];
  return Object.hasOwn(effects, own) ? effects[own] : undefined;
}

/** Like `knownEffect`, but assumes that an unknown key (from another version) affects the result. */
export function effectOf(key: string): KeyEffect {
  return knownEffect(key) ?? 'result';
}
