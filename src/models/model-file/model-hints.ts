import { z } from 'zod';
import type { ModelHints } from '../layout.js';
import type { ModelFile } from './model-file.js';

/** Properties of a model that cannot be inferred from its weights. */
export type HeaderHints = Pick<ModelHints, 'heads' | 'layerNormEps' | 'pool' | 'mean' | 'std' | 'evalCrop'>;

/** Numbers from 0 on, separated by commas. */
const numbers = z
  .string()
  .transform((text) => text.split(',').map(Number))
  .pipe(z.array(z.number().nonnegative()));

/** Other programs write headers too, so invalid values count as missing. */
const headerSchema = z.object({
  heads: z.coerce.number().int().positive().optional().catch(undefined),
  layer_norm_eps: z.coerce.number().positive().optional().catch(undefined),
  pool: z.enum(['token', 'mean']).optional().catch(undefined),
  mean: numbers.optional().catch(undefined),
  std: numbers.optional().catch(undefined),
  eval_crop: z.coerce.number().positive().max(1).optional().catch(undefined),
});

/** Properties that cannot be inferred from a file's weights: from files next to it, or from the header that `convert` wrote. */
export function headerHints({ hints, metadata }: Pick<ModelFile, 'hints' | 'metadata'>): HeaderHints {
  const header = headerSchema.parse(metadata);
  const heads = hints.heads ?? header.heads;
  const layerNormEps = hints.layerNormEps ?? header.layer_norm_eps;
  const pool = hints.pool ?? header.pool;
  const [mean, std] = [hints.mean ?? header.mean, hints.std ?? header.std];
  const evalCrop = hints.evalCrop ?? header.eval_crop;
  return {
    ...(heads && { heads }),
    ...(layerNormEps && { layerNormEps }),
    ...(pool && { pool }),
    ...(mean && { mean }),
    ...(std && { std }),
    ...(evalCrop && { evalCrop }),
  };
}

/** Encodes the properties as entries of a safetensors header, for `headerHints`. */
export function headerEntries(hints: HeaderHints): Record<string, string> {
  const { heads, layerNormEps, pool, mean, std, evalCrop } = hints;
  return {
    ...(heads && { heads: String(heads) }),
    ...(layerNormEps && { layer_norm_eps: String(layerNormEps) }),
    ...(pool && { pool }),
    ...(mean && { mean: mean.join(',') }),
    ...(std && { std: std.join(',') }),
    ...(evalCrop && { eval_crop: String(evalCrop) }),
  };
}
