import { z } from 'zod';
import type { ModelHints } from '../layout/layout-config.js';
import type { ModelFile } from './model-file.js';

/** What the weights of a vision transformer do not tell. */
export type Told = Pick<ModelHints, 'heads' | 'layerNormEps' | 'pool'>;

/** Other programs write headers too: what is not understood is not there. */
const headerSchema = z.object({
  heads: z.coerce.number().int().positive().optional().catch(undefined),
  layer_norm_eps: z.coerce.number().positive().optional().catch(undefined),
  pool: z.enum(['token', 'mean']).optional().catch(undefined),
});

/** What a file tells that its weights do not: beside them, or, where `convert` wrote it, in its header. */
export function toldBeside({ hints, metadata }: Pick<ModelFile, 'hints' | 'metadata'>): Told {
  const header = headerSchema.parse(metadata);
  const heads = hints.heads ?? header.heads;
  const layerNormEps = hints.layerNormEps ?? header.layer_norm_eps;
  const pool = hints.pool ?? header.pool;
  return { ...(heads && { heads }), ...(layerNormEps && { layerNormEps }), ...(pool && { pool }) };
}

/** The entries of a safetensors header from which `toldBeside` reads it again. */
export function headerEntries({ heads, layerNormEps, pool }: Told): Record<string, string> {
  return {
    ...(heads && { heads: String(heads) }),
    ...(layerNormEps && { layer_norm_eps: String(layerNormEps) }),
    ...(pool && { pool }),
  };
}
