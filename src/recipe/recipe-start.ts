import { z } from 'zod';
import { path } from './recipe-values.js';

export const startSection = z
  .strictObject({
    meta: path.describe('Weights of a meta model: PT is skipped, and the modules incubate in it.').optional(),
    model: path
      .describe('Weights of a whole model, of any image size: it is fine-tuned; PT and MT are skipped.')
      .optional(),
    head: z
      .enum(['keep', 'new'])
      .describe('new: a new head is trained instead of the head of the weights, so the classes may differ.')
      .default('keep'),
    weights: z
      .enum(['ema', 'raw'])
      .describe(
        'Which weights to use of a file with averaged and plain weights. Default: averaged; a run records its choice.',
      )
      .optional(),
  })
  .describe("Weights to start from: a file, a run's phase, or hf:owner/repo/file.");

/** The weights that a run starts from. */
export type StartSettings = z.output<typeof startSection>;
