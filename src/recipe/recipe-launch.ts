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
    nodes: count.describe("Machines of a phase's job. Default: as its processes need.").optional(),
    gpus: count.describe('GPUs of each process: 1, or left out to train on CPUs.').optional(),
    cpus: count.describe('Cores of each process.').optional(),
    mem: z.string().describe('Memory of a machine, such as 64G.').optional(),
    restarts: z
      .int()
      .min(0)
      .describe('How often in a row, without a new checkpoint, a phase that died is started again.')
      .default(3),
    warning: count
      .describe('Seconds before the time limit at which a phase saves a checkpoint.')
      .default(120),
    setup: z.string().describe('Shell lines before the work, such as module load.').default(''),
    args: z.array(z.string()).describe('More options of sbatch, such as --constraint=a100.').default([]),
  })
  .describe('What each phase asks Slurm for, with --launcher slurm.');

export const kubernetes = z
  .strictObject({
    image: z
      .string()
      .describe('Container image with deep-incubation in it.')
      .default('deep-incubation:latest'),
    namespace: z.string().describe("Namespace of the jobs. Default: kubectl's.").optional(),
    claim: z
      .string()
      .describe('PersistentVolumeClaim that all pods share: the run, and what else the recipe names.')
      .default('deep-incubation'),
    mount: z
      .string()
      .startsWith('/')
      .describe('Where it is mounted; paths are seen from here.')
      .default('/data'),
    gpus: count.describe('GPUs of a pod (nvidia.com/gpu).').optional(),
    cpus: count.describe('Cores of a pod.').optional(),
    mem: z.string().describe('Memory of a pod, such as 64Gi.').optional(),
    restarts: z.int().min(0).describe('How often a pod that failed is replaced.').default(3),
  })
  .describe('What each phase asks Kubernetes for, with --launcher kubernetes.');
