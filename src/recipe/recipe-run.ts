import { z } from 'zod';
import { kubernetes, slurm } from './recipe-launch.js';
import { autoOrFew, count, urlProblem } from './recipe-values.js';

const tensorboard = z.strictObject({
  images: z.boolean().describe('Show images of the first batch of each phase.').default(false),
  histograms_every: count
    .nullable()
    .describe('Steps between histograms of the trained weights; null: none.')
    .default(null),
});

const trackerUrl = z.string().superRefine((text, context) => {
  const problem = urlProblem(text);
  if (problem !== undefined) context.addIssue(problem);
});

const mlflow = z.strictObject({
  url: trackerUrl.describe('Address of the MLflow server.'),
  experiment: z.string().min(1).nullable().describe('Default: the name of the recipe.').default(null),
});

const trackio = z.strictObject({
  url: trackerUrl.describe('Address of the Trackio server.'),
  project: z.string().min(1).nullable().describe('Default: the name of the recipe.').default(null),
});

export const runSection = z
  .strictObject({
    device: z
      .string()
      .describe(
        'auto, cpu, cuda (all GPUs) or cuda:<n> (that one). auto uses the GPUs that libtorch finds, otherwise the CPU.',
      )
      .default('auto'),
    parallel: autoOrFew
      .describe(
        'Phases that run at the same time on this machine. auto, the default: modules in parallel, other phases one at a time.',
      )
      .default('auto'),
    ranks: count
      .describe('Processes that train one phase together on this machine, each on its own GPU. Default 1.')
      .default(1),
    threads: autoOrFew.describe('CPU threads of one process.').default('auto'),
    workers: autoOrFew.describe('Threads of one process that read and transform images.').default('auto'),
    tensorboard: z
      .union([z.literal(false), tensorboard])
      .describe('Event files for TensorBoard, in the run folder; false: none.')
      .prefault({}),
    mlflow: mlflow.nullable().describe('Send metrics to an MLflow server; null: off.').default(null),
    trackio: trackio.nullable().describe('Send metrics to a Trackio server; null: off.').default(null),
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

/** How this machine is used. */
export type RunSettings = z.output<typeof runSection>;
