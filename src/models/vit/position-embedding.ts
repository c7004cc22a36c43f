import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { concat, permute, reshape, slice, to as toDType, upsampleBicubic } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromData } from '../../torch/tensor.js';
import type { VitConfig } from './vit.js';

/**
 * A learned position embedding [1, prefixTokens + g^2, D] on another grid of patches: [1, prefixTokens + grid^2, D]
 * in float32. As DeiT and the official code resize it for other resolutions: bicubic (a = -0.75, no antialiasing,
 * align_corners = false), the prefix's slots (class token, distillation token) untouched. On its own grid it is
 * returned as it is.
 * @throws InputError where its slots are not those of a square
 */
export function resizePositionEmbedding(
  data: TensorData,
  to: { readonly grid: number; readonly prefixTokens: number },
): TensorData {
  const { grid, prefixTokens } = to;
  const from = gridOf(data, prefixTokens);
  if (from === grid) return data;
  const width = data.shape[2];
  return scope(() => {
    const slots = toDType(fromData(data), { dtype: 'F32' });
    const cells = reshape(slice(slots, 1, prefixTokens), [1, from, from, width]);
    const resized = upsampleBicubic(permute(cells, [0, 3, 1, 2]), grid, grid);
    const patches = reshape(permute(resized, [0, 2, 3, 1]), [1, grid * grid, width]);
    return concat([slice(slots, 1, 0, prefixTokens), patches], 1).toData();
  });
}

/**
 * The weights of a vision transformer's first stage, fit for images of another size: the position embedding is
 * resized to the grid of `config`, all else is as it was. Equal grids: the weights themselves.
 * @param source where the weights come from, for messages
 * @throws InputError where the position embedding is not one of a square grid
 */
export function fitStem(
  weights: ReadonlyMap<string, TensorData>,
  config: Pick<VitConfig, 'imageSize' | 'patchSize'>,
  source: string,
): ReadonlyMap<string, TensorData> {
  const embedding = weights.get('pos_embed');
  // Not a vision transformer's stem: what is missing is said where the weights are loaded.
  if (embedding === undefined) return weights;
  const prefixTokens = ['cls_token', 'dist_token'].filter((name) => weights.has(name)).length;
  const grid = config.imageSize / config.patchSize;
  try {
    const resized = resizePositionEmbedding(embedding, { grid, prefixTokens });
    return resized === embedding ? weights : new Map([...weights, ['pos_embed', resized]]);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${source}: ${error.message}`, { cause: error });
  }
}

/** Patches a side. */
function gridOf({ shape }: TensorData, prefixTokens: number): number {
  const grid = Math.sqrt(shape[1] - prefixTokens);
  if (shape.length === 3 && shape[0] === 1 && Number.isInteger(grid) && grid > 0) return grid;
  throw new InputError(
    `pos_embed is [${shape.join(', ')}], not [1, ${prefixTokens} + one slot for each patch of a square, width]`,
  );
}
