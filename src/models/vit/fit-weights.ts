import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { to as toDType, upsampleBicubic } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromData } from '../../torch/tensor.js';
import type { Headless } from '../family.js';
import { gridOf, resizedPositions } from './embedding.js';
import type { VitConfig } from './vit.js';

/**
 * Resizes a learned position embedding [1, prefixTokens + g^2, D] to another grid of patches: [1, prefixTokens + grid^2, D] in
 * float32. Like DeiT and the official code for other resolutions, it uses bicubic interpolation (a = -0.75, no antialiasing,
 * align_corners = false) and keeps the slots of the prefix (class token, distillation token). If the grid is the same, `data`
 * is returned unchanged.
 * @throws InputError unless its patch slots form a square
 */
export function resizePositionEmbedding(
  data: TensorData,
  to: { readonly grid: number; readonly prefixTokens: number },
): TensorData {
  if (gridOf(data, to.prefixTokens) === to.grid) return data;
  return scope(() => resizedPositions(toDType(fromData(data), { dtype: 'F32' }), to).toData());
}

/**
 * Adapts the weights of a vision transformer's first stage to another image size: the position embedding is resized to the
 * grid of `config`; all other weights are unchanged. If the grids are equal, `weights` itself is returned.
 * @param source where the weights come from, for messages
 * @throws InputError unless the position embedding has a square grid
 */
export function fitStem(
  weights: ReadonlyMap<string, TensorData>,
  config: Pick<VitConfig, 'imageSize' | 'patchSize' | 'noEmbedClass'>,
  source: string,
): ReadonlyMap<string, TensorData> {
  const embedding = weights.get('pos_embed');
  // Not a vision transformer's stem: loading the weights reports the missing tensor.
  if (embedding === undefined) return weights;
  const tokens = ['cls_token', 'dist_token'].filter((name) => weights.has(name)).length;
  const prefixTokens = config.noEmbedClass ? 0 : tokens;
  const grid = config.imageSize / config.patchSize;
  try {
    const resized = resizePositionEmbedding(embedding, { grid, prefixTokens });
    return resized === embedding ? weights : new Map([...weights, ['pos_embed', resized]]);
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${source}: ${error.message}`, { cause: error });
  }
}

/**
 * Resizes a patch embedding [D, C, p, p] to patches of another size, bicubically, without a change of scale, as ViTDet does for
 * ViT-H (14 to 16 pixels). If the size is the same, `weights` itself is returned.
 */
export function fitPatches(
  weights: ReadonlyMap<string, TensorData>,
  patchSize: number,
): ReadonlyMap<string, TensorData> {
  const kernel = weights.get(PATCHES);
  if (kernel === undefined || kernel.shape[2] === patchSize) return weights;
  const resized = scope(() =>
    upsampleBicubic(toDType(fromData(kernel), { dtype: 'F32' }), patchSize, patchSize).toData(),
  );
  return new Map([...weights, [PATCHES, resized]]);
}

const PATCHES = 'patch_embed.proj.weight';

const HEAD = /^head(s|_dist)?\./;
const DECODER = /^(neck|decode_head|auxiliary_head)\./;

/**
 * Weights for a model with a new head. An existing head or decoder is left out. If the weights have their final norm on the other
 * side of the pooling than the model, that norm is left out, too, and the model's norm is initialised. A decoder has no final norm.
 */
export function newHead(
  { fcNorm, decoder }: Pick<VitConfig, 'fcNorm' | 'decoder'>,
  stages: readonly ReadonlyMap<string, TensorData>[],
): Headless {
  const [norm, other] = fcNorm ? ['fc_norm.', 'norm.'] : ['norm.', 'fc_norm.'];
  const names = stages.flatMap((stage) => [...stage.keys()]);
  const isHead = (name: string) => HEAD.test(name) || DECODER.test(name);
  const hasOther = names.includes(`${other}weight`) || names.some((name) => DECODER.test(name));
  const isNormNew = !decoder && !names.includes(`${norm}weight`) && hasOther;
  const isLeftOut = (name: string) =>
    isHead(name) || name.startsWith(other) || (decoder !== undefined && name.startsWith(norm));
  return {
    stages: stages.map((stage) => new Map([...stage].filter(([name]) => !isLeftOut(name)))),
    isFresh: (name) => isHead(name) || (isNormNew && name.startsWith(norm)),
    leftOut: names.filter(isLeftOut),
  };
}
