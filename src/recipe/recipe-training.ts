import { z } from 'zod';
import { count, notNegative, path, positive, rate } from './recipe-values.js';

const optimizer = z.strictObject({
  name: z
    .enum(['adamw', 'sgd', 'lamb', 'lion'])
    .describe('Default adamw, with which the published figures were made.'),
  lr: positive.describe('Peak learning rate, at lr_batch if that is given. Default 5e-4.'),
  lr_batch: count
    .nullable()
    .describe('lr is scaled by effective batch / lr_batch; null: lr is used as it is. Default 512.'),
  weight_decay: notNegative.describe('Default 0.05.'),
  betas: z.tuple([rate, rate]).describe('adamw, lamb, lion. Default [0.9, 0.999]; of lion [0.9, 0.99].'),
  eps: positive.describe('adamw, lamb. Default 1e-8; of lamb 1e-6.'),
  momentum: rate.describe('sgd, with Nesterov. Default 0.9.'),
  layer_decay: positive
    .max(1)
    .nullable()
    .describe('Layer-wise decay of the learning rate towards the stem (BEiT, MAE). Default null: none.'),
  sharded: z
    .boolean()
    .describe('Each process of a phase keeps its share of the state (ZeRO-1). Default false.'),
});

const schedule = z.strictObject({
  kind: z
    .enum(['epoch-cosine', 'step-cosine', 'polynomial', 'multi-step', 'wsd'])
    .describe(
      'epoch-cosine, the default: the official one, constant inside an epoch. step-cosine: for short runs.',
    ),
  warmup: notNegative.describe('Epochs of linear warm-up. Default 20, in FT 0.'),
  warmup_lr: notNegative.describe('Where the warm-up begins. Default 1e-6.'),
  min_lr: notNegative.describe('Where the schedule ends. Default 1e-5.'),
  power: positive.describe('Of polynomial. Default 1.'),
  milestones: z.array(positive).describe('Of multi-step: epochs at which the rate falls. Default [].'),
  factor: positive.describe('Of multi-step: what the rate is multiplied with. Default 0.1.'),
  decay_share: rate.describe('Of wsd: share of all steps in which the rate falls. Default 0.2.'),
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
    .describe("Which of the teacher's weights, where a file has averaged and plain ones. Default: averaged.")
    .optional(),
  normalise: z
    .enum(['own', 'model'])
    .describe(
      "Whose mean and std the teacher's images have. Default: its own if it states them; a run records it.",
    )
    .optional(),
});

const earlyStop = z.strictObject({
  patience: count.describe(
    'Evaluations without a better score, in the primary metric of the task, before the phase ends.',
  ),
  min_delta: notNegative.describe('Per cent points that count as better.').default(0),
});

export const settings = z.strictObject({
  epochs: positive.describe(
    'Passes over the training images; a fraction is allowed. Default 100, in PT 300.',
  ),
  batch_size: count.describe('Images of a micro-batch. Default 256.'),
  accumulate: count.describe('Micro-batches of one optimiser step. Default 1.'),
  total_batch: count
    .nullable()
    .describe('Images of one optimiser step, instead of accumulate, which then follows. Default null.'),
  label_smoothing: rate.describe('Default 0.1.'),
  clip_grad: positive
    .nullable()
    .describe('Bound on the common norm of the gradients. Default null: none; in FT 1.'),
  drop_path: rate.describe(
    'Rate at the last block; rises linearly from 0 at the first. Default 0.1, in PT 0.',
  ),
  precision: z
    .enum(['float32', 'bfloat16'])
    .describe('bfloat16: autocast, weights stay float32. Default float32.'),
  activation_checkpointing: z
    .boolean()
    .describe('Recompute blocks in the backward pass: a third more time, far less memory. Default false.'),
  ema: rate
    .nullable()
    .describe('Decay of averaged weights, which are then judged and kept. Default null: none.'),
  freeze: z
    .array(z.string())
    .describe('Parameters that do not train, by pattern: patch_embed.*, blocks.*.attn.*. Default [].'),
  distill: distill.nullable().describe('A teacher beside the labels. Default null: none.'),
  eval_every: positive.describe('Epochs between evaluations; the last step is always evaluated. Default 1.'),
  early_stop: earlyStop.nullable().describe('Default null: every phase runs to its end.'),
  checkpoint_every: positive.describe(
    'Seconds between checkpoints; the last step always has one. Default 60.',
  ),
  keep_checkpoints: count.describe(
    'Newest checkpoints kept, beside the best. Default 2: should the last be damaged, there is another.',
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
