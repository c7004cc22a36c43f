import { z } from 'zod';
import { count } from '../base/number-schemas.js';
import { autoOrFew, urlProblem } from './recipe-values.js';

const slurm = z
  .strictObject({
    partition: z.string().describe("sbatch --partition. Default: the cluster's.").optional(),
    account: z.string().describe('sbatch --account.').optional(),
    qos: z.string().describe('sbatch --qos.').optional(),
    time: z
      .string()
      .describe(
        'Limit of a job, such as 12:00:00. A phase that needs longer saves a checkpoint and is queued again.',
      )
      .optional(),
    nodes: count.describe("Machines of a phase's job. Default: as many as its processes need.").optional(),
    gpus: count.describe('GPUs of each process: 1, or unset to train on CPUs.').optional(),
    cpus: count.describe('Cores of each process.').optional(),
    mem: z.string().describe('Memory of a machine, such as 64G.').optional(),
    restarts: z
      .int()
      .min(0)
      .describe('Maximum restarts of a phase in a row without a new checkpoint.')
      .default(3),
    warning: count
      .describe('Seconds before the time limit at which a phase saves a checkpoint.')
      .default(120),
    setup: z.string().describe('Shell lines to run first, such as module load.').default(''),
    args: z.array(z.string()).describe('Further options of sbatch, such as --constraint=a100.').default([]),
  })
  .describe('Resources that each phase requests from Slurm, with --launcher slurm.');

const kubernetes = z
  .strictObject({
    image: z
      .string()
      .describe('Container image that contains deep-incubation.')
      .default('deep-incubation:latest'),
    namespace: z.string().describe("Namespace of the jobs. Default: kubectl's.").optional(),
    claim: z
      .string()
      .describe(
        'PersistentVolumeClaim that all pods share, with the run and all files that the recipe names.',
      )
      .default('deep-incubation'),
    mount: z
      .string()
      .startsWith('/')
      .describe('Where it is mounted; paths must be below it.')
      .default('/data'),
    gpus: count.describe('GPUs of a pod (nvidia.com/gpu).').optional(),
    cpus: count.describe('Cores of a pod.').optional(),
    mem: z.string().describe('Memory of a pod, such as 64Gi.').optional(),
    restarts: z.int().min(0).describe('Maximum replacements of a failed pod.').default(3),
  })
  .describe('Resources that each phase requests from Kubernetes, with --launcher kubernetes.');

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
