import { z } from 'zod';
import { count, notNegative, positive, rate } from '../base/number-schemas.js';
import { MOST_MAGNITUDE } from '../data/transforms/auto-augment.js';
import { path } from './recipe-values.js';

const optimizer = z.strictObject({
  name: z
    .enum(['adamw', 'sgd', 'lamb', 'lion', 'muon'])
    .describe('Default adamw, as in the published results.'),
  lr: positive.describe('Peak learning rate, for a batch of lr_batch if that is set. Default 5e-4.'),
  lr_batch: count
    .nullable()
    .describe('lr is scaled by effective batch / lr_batch; null: lr is not scaled. Default 512.'),
  weight_decay: notNegative.describe('Default 0.05.'),
  decay_all: z
    .boolean()
    .describe('Weight decay also for biases, norms and embeddings of position and class. Default false.'),
  betas: z
    .tuple([rate, rate])
    .describe('For adamw, lamb, lion, and muon (its AdamW). Default [0.9, 0.999]; for lion [0.9, 0.99].'),
  eps: positive.describe('For adamw, lamb, and muon (its AdamW). Default 1e-8; for lamb 1e-6.'),
  momentum: rate.describe('For sgd and muon. Default 0.9; for muon 0.95.'),
  nesterov: z.boolean().describe('For sgd and muon: Nesterov momentum. Default true.'),
  adjust_lr: z
    .enum(['original', 'match_rms_adamw'])
    .nullable()
    .describe(
      'For muon: how the learning rate depends on the shape of a matrix, as in torch. Default match_rms_adamw: updates of the size of AdamW.',
    ),
  matrix_lr_scale: positive
    .nullable()
    .describe('For muon: factor of the learning rate of the matrices that it updates. Default 1.'),
  layer_decay: positive
    .max(1)
    .nullable()
    .describe('Layer-wise decay of the learning rate towards the stem (BEiT, MAE). Default null: none.'),
  backbone_lr_scale: positive
    .nullable()
    .describe('Factor of the learning rate of everything below the head or decoder. Default null: 1.'),
  sharded: z
    .boolean()
    .describe('Each process of a phase keeps its share of the state (ZeRO-1). Default false.'),
});

const schedule = z.strictObject({
  kind: z
    .enum(['epoch-cosine', 'step-cosine', 'blended-cosine', 'polynomial', 'multi-step', 'wsd'])
    .describe(
      'epoch-cosine, the default: as in the official code, constant within an epoch. step-cosine: for short runs. ' +
        "blended-cosine: InfoPro's, constant within an epoch; the warm-up blends into the cosine.",
    ),
  warmup: notNegative.describe('Epochs of linear warm-up. Default 20, in FT 0.'),
  warmup_lr: notNegative.describe('Learning rate at the start of the warm-up. Default 1e-6.'),
  min_lr: notNegative.describe('Learning rate at the end. Default 1e-5.'),
  power: positive.describe('For polynomial. Default 1.'),
  milestones: z.array(positive).describe('For multi-step: epochs at which the rate drops. Default [].'),
  factor: positive.describe('For multi-step: factor of each drop. Default 0.1.'),
  decay_share: rate.describe('For wsd: share of all steps in which the rate decays. Default 0.2.'),
});

const distill = z.strictObject({
  teacher: path.describe("The teacher's weights: a file, a run's phase, or hf:owner/repo/file."),
  kind: z
    .enum(['soft', 'hard'])
    .describe('Targets: its probabilities, or its decision (DeiT).')
    .default('hard'),
  alpha: rate.describe('Weight of the teacher against the labels.').default(0.5),
  tau: positive.describe('Temperature of soft targets.').default(1),
  weights: z
    .enum(['ema', 'raw'])
    .describe(
      "Which of the teacher's weights to use, if a file has averaged and plain ones. Default: averaged.",
    )
    .optional(),
  normalise: z
    .enum(['own', 'model'])
    .describe(
      "Whose mean and std to use for the teacher's images. Default: the teacher's own, if it states them; a run records it.",
    )
    .optional(),
});

const curriculumStage = z.strictObject({
  until: z
    .number()
    .gt(0)
    .max(1)
    .describe("Share of the phase's steps after which the stage ends.")
    .default(1),
  size: count
    .describe('Side of the images in pixels, at most model.image_size. Default: model.image_size.')
    .optional(),
  low_pass: z
    .boolean()
    .describe("Keep only the images' low frequencies (EfficientTrain), instead of resizing them.")
    .default(false),
  magnitude: z
    .int()
    .min(0)
    .max(MOST_MAGNITUDE)
    .describe('Magnitude of RandAugment, instead of the one in data.augment.auto.')
    .optional(),
});

const earlyStop = z.strictObject({
  patience: count.describe(
    'Evaluations without a better score, in the primary metric of the task, before the phase ends.',
  ),
  min_delta: notNegative.describe('Minimum improvement, in percentage points.').default(0),
});

const settings = z.strictObject({
  epochs: positive.describe(
    'Passes over the training images; a fraction is allowed. Default 100, in PT 300.',
  ),
  batch_size: count.describe('Images per micro-batch. Default 256.'),
  accumulate: count.describe('Micro-batches per optimiser step. Default 1.'),
  total_batch: count
    .nullable()
    .describe('Images per optimiser step; replaces accumulate, which is derived from it. Default null.'),
  loss: z
    .enum(['cross-entropy', 'bce'])
    .describe('bce: binary cross-entropy of each class, as in DeiT-III. Default cross-entropy.'),
  bce_threshold: rate
    .nullable()
    .describe(
      "For loss bce: targets above it become 1, all others 0. DeiT-III's is 0. Default null: targets stay as they are.",
    ),
  label_smoothing: rate.describe('Default 0.1.'),
  class_weights: z
    .union([z.literal('balanced'), z.array(notNegative).min(1)])
    .nullable()
    .describe(
      'Weight of each class in the training loss, by label. balanced: images / (classes x images of the class). Default null: none.',
    ),
  clip_grad: positive
    .nullable()
    .describe('Maximum global norm of the gradients. Default null: no clipping; in FT 1.'),
  drop_path: rate.describe('Drop-path rate of the last block. Default 0.1, in PT 0.'),
  drop_path_schedule: z
    .enum(['linear', 'constant'])
    .describe(
      'Drop-path rates over the blocks. linear, the default: rising from 0 at the first. constant: as in DeiT-III.',
    ),
  precision: z
    .enum(['auto', 'float32', 'tf32', 'bfloat16'])
    .describe(
      'Of matrix products; weights stay float32. bfloat16: autocast. tf32: TF32 on a GPU. Default auto: bfloat16 on a GPU ' +
        'that has it, otherwise float32.',
    ),
  activation_checkpointing: z
    .boolean()
    .describe('Recompute blocks in the backward pass: a third more time, much less memory. Default false.'),
  ema: rate
    .nullable()
    .describe('Decay of averaged weights, which are then evaluated and saved. Default null: no averaging.'),
  freeze: z
    .array(z.string())
    .describe('Patterns of parameters that are not trained: patch_embed.*, blocks.*.attn.*. Default [].'),
  curriculum: z
    .array(curriculumStage)
    .min(1)
    .nullable()
    .describe(
      'Stages of smaller images and weaker augmentation, by the share of the steps that are done. Default null: none.',
    ),
  distill: distill.nullable().describe('A teacher in addition to the labels. Default null: none.'),
  eval_every: positive.describe('Epochs between evaluations; the last step is always evaluated. Default 1.'),
  early_stop: earlyStop.nullable().describe('Default null: every phase runs to its end.'),
  checkpoint_every: positive.describe(
    'Seconds between checkpoints; the last step always has one. Default 60.',
  ),
  keep_checkpoints: count.describe(
    'Number of newest checkpoints to keep, in addition to the best. Default 2, in case the last is damaged.',
  ),
  log_every: count.describe('Steps between records in metrics.jsonl. Default 10.'),
  optimizer,
  schedule,
});

/** The complete training settings of one phase. */
export type TrainingSettings = z.infer<typeof settings>;

export const override = settings.partial().extend({
  optimizer: optimizer.partial().optional(),
  schedule: schedule.partial().optional(),
});

/** Settings that a recipe gives for all phases or for one phase. */
export type TrainingOverride = z.infer<typeof override>;

const division = {
  modules: count.describe('K: number of modules, of equal depth.').optional(),
  depths: z.array(count).min(2).describe('Blocks of each module, instead of modules.').optional(),
};
const ends = z.tuple([notNegative, notNegative]);

const local = z.discriminatedUnion('method', [
  z.strictObject({
    method: z
      .literal('dgl')
      .describe('Cross-entropy of an auxiliary classifier (Decoupled Greedy Learning).'),
    ...division,
  }),
  z.strictObject({
    method: z.literal('infopro').describe('Reconstruction of the image, and a task head (InfoPro).'),
    ...division,
    task: z
      .enum(['contrastive', 'cross-entropy'])
      .describe("The task head's loss: supervised contrastive, or that of the task.")
      .default('contrastive'),
    reconstruction: ends.describe(
      'Weight of the reconstruction: of the first and the last module with a head.',
    ),
    prediction: ends.describe(
      "Weight of the task head's loss: of the first and the last module with a head.",
    ),
  }),
]);

/** A recipe's `local`. */
export type LocalSettings = z.output<typeof local>;

/** Settings of the model that is trained from scratch, including its own key `local`. */
export const baselineOverride = override.extend({
  local: local
    .nullable()
    .describe(
      'Every module but the last is trained by its own loss, without gradients from the next. Default null: end to end.',
    )
    .optional(),
});

/** Settings of the incubation phases, including their own key `objective`. */
export const incubationOverride = override.extend({
  objective: z
    .enum(['classify', 'imitate'])
    .describe(
      "classify, the method: the hybrid's loss. imitate, the paper's ablation: the meta stage's features.",
    )
    .default('classify'),
});

/** Settings of a single module, including which images it trains on. */
export const moduleOverride = override.extend({
  data: z
    .strictObject({
      path: path.optional(),
      fraction: z.number().gt(0).max(1).optional(),
      train_images: count.optional(),
    })
    .describe("Instead of the recipe's data.path, data.fraction, data.train_images.")
    .optional(),
});
