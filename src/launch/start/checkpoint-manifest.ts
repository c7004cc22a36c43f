import { z } from 'zod';

const evaluation = z.looseObject({
  step: z.number(),
  loss: z.number(),
  images: z.number().optional(),
});

export const manifestSchema = z.object({
  phase: z.string(),
  step: z.number(),
  seed: z.number(),
  seconds: z.number().optional(),
  depths: z.array(z.int().positive()),
  model: z.record(z.string(), z.unknown()),
  mean: z.array(z.number()),
  std: z.array(z.number()),
  /** Missing in manifests of earlier versions, which used the official share. */
  eval_crop: z.number().optional(),
  /** Names by label. Missing if the images name no classes, and in manifests of earlier versions. */
  classes: z.array(z.string()).optional(),
  exif: z.enum(['ignore', 'apply']).optional(),
  grey16: z.enum(['clip', 'scale']).optional(),
  /** `split`: how the run held out its evaluation images; missing if the data set has its own. */
  data: z.object({ split: z.object({ val: z.number(), seed: z.number() }).optional() }).optional(),
  last: evaluation.optional(),
  /** Only in a run's copy of weights that it starts from: where they are from. */
  source: z.unknown().optional(),
});

/** Metadata of a checkpoint that a run has written. */
export type Manifest = z.infer<typeof manifestSchema>;
