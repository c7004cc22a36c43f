import { z } from 'zod';
import { count } from './recipe-values.js';

export const slurm = z
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

export const kubernetes = z
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
