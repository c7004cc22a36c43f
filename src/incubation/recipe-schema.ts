import { z } from 'zod';
import { PRESET_NAMES } from '../models/presets.js';

const count = z.int().positive();
const rate = z.number().min(0).max(1);
const positive = z.number().positive();

const model = z
  .strictObject({
    preset: z.enum(PRESET_NAMES).optional().describe('Published geometry that the other fields override.'),
    image_size: count.describe('Pixels of a side.').default(224),
    patch_size: count.describe('Pixels of a side of a patch; divides image_size.').optional(),
    channels: count.describe('Colour channels of the input.').default(3),
    classes: count.describe('Number of classes.').default(1000),
    width: count.describe('Width of a token.').optional(),
    depth: count.describe('Number of blocks.').optional(),
    heads: count.describe('Attention heads; divides width.').optional(),
    mlp_ratio: positive.describe('Hidden width of the MLP over width.').default(4),
    qkv_bias: z.boolean().describe('Biases in the query, key and value projections.').optional(),
    layer_norm_eps: positive.describe('Epsilon of every LayerNorm.').optional(),
    class_token: z.boolean().describe('Classify by a class token; else by the mean token.').default(true),
  })
  .describe('The target model, a Vision Transformer.');

const incubation = z
  .strictObject({
    modules: count.describe('K: number of modules, of equal depth.').optional(),
    depths: z.array(count).min(1).describe('Blocks of each module, instead of modules.').optional(),
    meta_depth: count.describe('Blocks a stage of the meta model; 1 in the paper.').default(1),
  })
  .describe('How the model is divided.');

const augment = z.union([
  z.literal('none'),
  z.strictObject({
    crop_padding: z
      .int()
      .min(0)
      .describe('Random crop after zero padding, pixels; for images up to 32 px.')
      .default(4),
    flip: rate.describe('Probability of a horizontal flip.').default(0.5),
    crop_scale: z
      .tuple([positive, positive])
      .describe('Area share of the random resized crop; for images above 32 px.')
      .default([0.08, 1]),
  }),
]);

const data = z
  .strictObject({
    format: z
      .enum(['fashion-mnist', 'folder'])
      .describe('folder: train/<class>/* and val/<class>/*, PNG or JPEG.'),
    path: z.string().describe('Where the images are; for fashion-mnist, the set-up knows.').optional(),
    train_images: count
      .describe('Use only so many training images, the same share of each class.')
      .optional(),
    eval_images: count.describe('Use only so many images for evaluation.').optional(),
    mean: z
      .array(z.number())
      .describe("Of each channel, pixels in 0 to 1. ImageNet's.")
      .default([0.485, 0.456, 0.406]),
    std: z.array(positive).describe("Of each channel. ImageNet's.").default([0.229, 0.224, 0.225]),
    augment: augment.describe('Training transforms.').prefault({}),
    shuffle: z.boolean().describe('A new random order each epoch.').default(true),
  })
  .describe('The images.');

const optimizer = z.strictObject({
  name: z.literal('adamw'),
  lr: positive.describe('Peak learning rate, at lr_batch if that is given. Default 5e-4.'),
  lr_batch: count
    .nullable()
    .describe('lr is scaled by effective batch / lr_batch; null: lr is used as it is. Default 512.'),
  weight_decay: z.number().min(0).describe('Default 0.05.'),
  betas: z.tuple([rate, rate]).describe('Default [0.9, 0.999].'),
  eps: positive.describe('Default 1e-8.'),
});

const schedule = z.strictObject({
  kind: z
    .enum(['epoch-cosine', 'step-cosine'])
    .describe(
      'epoch-cosine, the default: the official one, constant inside an epoch. step-cosine: for short runs.',
    ),
  warmup: z.number().min(0).describe('Epochs of linear warm-up. Default 20, in FT 0.'),
  warmup_lr: z.number().min(0).describe('Where the warm-up begins. Default 1e-6.'),
  min_lr: z.number().min(0).describe('Where the cosine ends. Default 1e-5.'),
});

const settings = z.strictObject({
  epochs: positive.describe(
    'Passes over the training images; a fraction is allowed. Default 100, in PT 300.',
  ),
  batch_size: count.describe('Images of a micro-batch. Default 256.'),
  accumulate: count.describe('Micro-batches of one optimiser step. Default 1.'),
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
  eval_every: positive.describe('Epochs between evaluations; the last step is always evaluated. Default 1.'),
  checkpoint_every: positive.describe(
    'Seconds between checkpoints; the last step always has one. Default 60.',
  ),
  log_every: count.describe('Steps between records in metrics.jsonl. Default 10.'),
  optimizer,
  schedule,
});

/** Settings of one phase's training, all of them. */
export type TrainingSettings = z.infer<typeof settings>;

const override = settings.partial().extend({
  optimizer: optimizer.partial().optional(),
  schedule: schedule.partial().optional(),
});

/** Settings that a recipe gives for all phases, or for one. */
export type TrainingOverride = z.infer<typeof override>;

const phases = z
  .strictObject({
    PT: override.prefault({}).describe('Pre-training of the meta model.'),
    MT: override.prefault({}).describe('Incubation of each module.'),
    FT: override.prefault({}).describe('Fine-tuning of the assembled model.'),
    E2E: z
      .union([z.literal('none'), override])
      .describe('The end-to-end baseline, or none. Without epochs it trains at the cost of all the others.')
      .prefault('none'),
  })
  .describe('What differs between the phases.');

const run = z
  .strictObject({
    device: z
      .string()
      .describe('auto, cpu, cuda or cuda:<n>. auto takes a GPU where there is one.')
      .default('auto'),
    parallel: z
      .union([z.literal('auto'), count])
      .describe(
        'Phases at a time on this machine. auto, the default: modules beside each other, all else alone.',
      )
      .default('auto'),
    threads: z
      .union([z.literal('auto'), count])
      .describe('CPU threads of one phase.')
      .default('auto'),
  })
  .describe('How this machine is used. Does not change results beyond float rounding.');

export const recipeSchema = z.strictObject({
  name: z.string().min(1).describe('Shown in reports.'),
  seed: z.int().min(0).default(0),
  model,
  incubation,
  data,
  training: override.prefault({}).describe('Settings of every phase, which phases.<name> may override.'),
  phases: phases.prefault({}),
  run: run.prefault({}),
  versions: z
    .record(z.string(), z.string())
    .describe('What a run was made with; written by the program.')
    .optional(),
});

/** A recipe as written: what has a default may be left out. */
export type RecipeInput = z.input<typeof recipeSchema>;
/** A recipe with the defaults of everything but training filled in (see `phaseSettings`). */
export type Recipe = z.output<typeof recipeSchema>;
