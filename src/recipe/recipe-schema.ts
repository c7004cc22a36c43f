import { z } from 'zod';
import { modelSection } from '../models/families/families.js';
import { data } from './recipe-data.js';
import { kubernetes, slurm } from './recipe-launch.js';
import { incubationOverride, moduleOverride, override } from './recipe-training.js';
import { autoOrFew, count, path } from './recipe-values.js';

export type { TrainingOverride, TrainingSettings } from './recipe-training.js';

const incubation = z
  .strictObject({
    modules: count.describe('K: number of modules, of equal depth.').optional(),
    depths: z.array(count).min(1).describe('Blocks of each module, instead of modules.').optional(),
    meta_depth: count.describe('Blocks a stage of the meta model; 1 in the paper.').default(1),
    together: z
      .boolean()
      .describe(
        'All modules see the same batches and drop-path masks. Those that train on one device then do so in one ' +
          "process, and share images and the frozen prefix's forward pass.",
      )
      .default(false),
  })
  .describe('How the model is divided.');

const noIncubation = z
  .literal('none')
  .describe(
    'The model is not divided: no PT and MT, FT only of start.model; what phases says of others is unused.',
  );

const start = z
  .strictObject({
    meta: path.describe('Weights of a meta model: PT is skipped, the modules incubate in it.').optional(),
    model: path
      .describe('Weights of a whole model, of any image size: it is fine-tuned, PT and MT are skipped.')
      .optional(),
    head: z
      .enum(['keep', 'new'])
      .describe('new: the head is not taken from the weights, so that the classes may be others.')
      .default('keep'),
    weights: z
      .enum(['ema', 'raw'])
      .describe(
        'Which to take of a file with averaged and plain weights. Default: averaged; a run records its choice.',
      )
      .optional(),
  })
  .describe("Weights to start from: a file, a run's phase, or hf:owner/repo/file.");

const phases = z
  .strictObject({
    PT: override.prefault({}).describe('Pre-training of the meta model.'),
    MT: incubationOverride.prefault({}).describe('Incubation of each module.'),
    modules: z
      .record(z.string().regex(/^(0|[1-9]\d*)$/), moduleOverride)
      .describe('What differs for single modules, by their number, beside phases.MT.')
      .optional(),
    FT: override.prefault({}).describe('Fine-tuning of the assembled model.'),
    E2E: z
      .union([z.literal('none'), override])
      .describe('The end-to-end baseline, or none. Without epochs it trains at the cost of all the others.')
      .prefault('none'),
  })
  .describe('What differs between the phases.');

const tensorboard = z.strictObject({
  images: z.boolean().describe('Show images of the first batch of each phase.').default(false),
  histograms_every: count
    .nullable()
    .describe('Steps between histograms of the trained weights; null: none.')
    .default(null),
});

const run = z
  .strictObject({
    device: z
      .string()
      .describe(
        'auto, cpu, cuda (all GPUs) or cuda:<n> (that one). auto takes the GPUs that libtorch sees, else the CPU.',
      )
      .default('auto'),
    parallel: autoOrFew
      .describe(
        'Phases at a time on this machine. auto, the default: modules beside each other, all else alone.',
      )
      .default('auto'),
    ranks: count
      .describe('Processes that train one phase together, on this machine; a GPU each. Default 1.')
      .default(1),
    threads: autoOrFew.describe('CPU threads of one process.').default('auto'),
    workers: autoOrFew.describe('Threads of one process that read and transform images.').default('auto'),
    tensorboard: z
      .union([z.literal(false), tensorboard])
      .describe('Event files for TensorBoard, in the run folder; false: none.')
      .prefault({}),
    samples: z
      .int()
      .min(0)
      .max(64)
      .describe(
        'Images of the first batch, and of each evaluation, that are kept for the dashboard; 0: none.',
      )
      .default(8),
    slurm: slurm.prefault({}),
    kubernetes: kubernetes.prefault({}),
  })
  .describe('How this machine is used. Does not change results beyond float rounding.');

export const recipeSchema = z.strictObject({
  name: z
    .string()
    .trim()
    .min(1)
    .regex(/^\P{Cc}*$/u, { error: 'has a control character' })
    .describe('Shown in reports.'),
  seed: z.int().min(0).default(0),
  model: modelSection,
  incubation: z.union([noIncubation, incubation], { error: 'expected none, or a section: {} is enough' }),
  data,
  start: start.prefault({}),
  training: override.prefault({}).describe('Settings of every phase, which phases.<name> may override.'),
  phases: phases.prefault({}),
  run: run.prefault({}),
  versions: z
    .record(z.string(), z.string())
    .describe('What a run was made with; written by the program.')
    .optional(),
});

/** A recipe as written: keys with a default may be omitted. */
export type RecipeInput = z.input<typeof recipeSchema>;
/** A recipe with all defaults filled in except those of training (see `phaseSettings`). */
export type Recipe = z.output<typeof recipeSchema>;
