import { z } from 'zod';
import type { ModelHints } from '../layout.js';
import type { ModelFile } from './model-file.js';

/** Properties of a vision transformer that cannot be inferred from its weights. */
export type HeaderHints = Pick<ModelHints, 'heads' | 'layerNormEps' | 'pool'>;

/** Other programs write headers too, so invalid values count as missing. */
const headerSchema = z.object({
  heads: z.coerce.number().int().positive().optional().catch(undefined),
  layer_norm_eps: z.coerce.number().positive().optional().catch(undefined),
  pool: z.enum(['token', 'mean']).optional().catch(undefined),
});

/** Properties that cannot be inferred from a file's weights: from files next to it, or from the header that `convert` wrote. */
export function headerHints({ hints, metadata }: Pick<ModelFile, 'hints' | 'metadata'>): HeaderHints {
  const header = headerSchema.parse(metadata);
  const heads = hints.heads ?? header.heads;
  const layerNormEps = hints.layerNormEps ?? header.layer_norm_eps;
  const pool = hints.pool ?? header.pool;
  return { ...(heads && { heads }), ...(layerNormEps && { layerNormEps }), ...(pool && { pool }) };
}

/** Encodes the properties as entries of a safetensors header, for `headerHints`. */
export function headerEntries({ heads, layerNormEps, pool }: HeaderHints): Record<string, string> {
  return {
    ...(heads && { heads: String(heads) }),
    ...(layerNormEps && { layer_norm_eps: String(layerNormEps) }),
    ...(pool && { pool }),
  };
}
