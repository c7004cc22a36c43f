import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { slice, to as toDType, upsampleBicubic } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, fromData } from '../../torch/tensor.js';
import { tapsOf } from '../dense/decoder-config.js';
import type { Headless } from '../family.js';
import type { VitConfig } from './config.js';
import { gridOf, resizedPositions } from './embedding.js';
import { inferStem } from './weights-geometry.js';

type Stages = readonly [ReadonlyMap<string, TensorData>, ...ReadonlyMap<string, TensorData>[]];

/**
 * Adapts weights to the images and the head of a model: the position embedding is resized; for a decoder, also the patch embedding. For a
 * detector, the class token is left out, and LayerScale is added.
 * @returns with a note if anything was changed
 * @throws InputError unless the position embedding has a square grid
 */
export function fitStages<T extends readonly ReadonlyMap<string, TensorData>[]>(
  stages: T,
  config: VitConfig,
  source: string,
): { readonly stages: T; readonly note?: string } {
  const [given, ...others] = stages as unknown as Stages;
  const bare = config.detector ? withoutTokens(given) : given;
  const stem = tapsOf(config) ? fitPatches(bare, config.patchSize) : bare;
  const fit = fitStem(stem, config, source);
  const fitted = [fit, ...others] as unknown as T;
  const scaled = config.detector ? withLayerScale(fitted, config) : fitted;
  if (fit === given && scaled === fitted) return { stages };
  const { imageSize, patchSize } = inferStem(given, source);
  const patches = patchSize === config.patchSize ? '' : ` in patches of ${patchSize}`;
  const notes = [
    ...(bare === given ? [] : ['class token left out']),
    ...(fit === stem
      ? []
      : [`position embedding of ${imageSize} px images${patches}, resized for ${config.imageSize} px`]),
    ...(stem === bare
      ? []
      : [`patch embedding of ${patchSize} px patches, resized to ${config.patchSize} px`]),
    ...(scaled === fitted ? [] : [`LayerScale of ${config.layerScale} added`]),
  ];
  return { stages: scaled, note: notes.join('; ') };
}

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
function fitPatches(
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

/**
 * Removes the class token, the distillation token and the registers from weights, and their slots from the position embedding.
 * @returns `weights` itself if it has none of them
 * @throws InputError unless the position embedding has a square grid
 */
function withoutTokens(weights: ReadonlyMap<string, TensorData>): ReadonlyMap<string, TensorData> {
  const tokens = ['cls_token', 'dist_token'].filter((name) => weights.has(name));
  if (tokens.length === 0 && !weights.has('reg_token')) return weights;
  const kept = new Map([...weights].filter(([name]) => !tokens.includes(name) && name !== 'reg_token'));
  const slots = weights.get('pos_embed');
  if (slots === undefined || hasSquareGrid(slots, 0)) return kept;
  gridOf(slots, tokens.length);
  const patches = scope(() => slice(fromData(slots), 1, tokens.length).toData());
  return new Map([...kept, ['pos_embed', patches]]);
}

function hasSquareGrid({ shape }: TensorData, prefix: number): boolean {
  return Number.isInteger(Math.sqrt(shape[1] - prefix));
}

/** Stages whose blocks have LayerScale of this value where they have none, which is the identity for 1. */
function withLayerScale<T extends readonly ReadonlyMap<string, TensorData>[]>(
  stages: T,
  { layerScale, width }: Pick<VitConfig, 'layerScale' | 'width'>,
): T {
  if (layerScale === undefined || stages.some((stage) => [...stage.keys()].some(isScale))) return stages;
  const gamma = scope(() => fromArray(new Float32Array(width).fill(layerScale), [width]).toData());
  return stages.map((stage) => {
    const blocks = [...stage.keys()].flatMap(
      (name) => /^(blocks\.\d+\.)norm1\.weight$/.exec(name)?.[1] ?? [],
    );
    const scales = blocks.flatMap((block) => [1, 2].map((i) => [`${block}ls${i}.gamma`, gamma] as const));
    return new Map([...stage, ...scales]);
  }) as unknown as T;
}

const isScale = (name: string) => /\.ls[12]\.gamma$/.test(name);

const HEAD = /^head(s|_dist)?\./;
const DECODER = /^(neck|decode_head|auxiliary_head|pyramid|detector)\./;

/**
 * Weights for a model with a new head. An existing head or decoder is left out. If the weights have their final norm on the other
 * side of the pooling than the model, that norm is left out, too, and the model's norm is initialised. A decoder has no final norm.
 */
export function newHead(
  config: Pick<VitConfig, 'fcNorm' | 'decoder' | 'detector'>,
  stages: readonly ReadonlyMap<string, TensorData>[],
): Headless {
  const isTapped = tapsOf(config) !== undefined;
  const [norm, other] = config.fcNorm ? ['fc_norm.', 'norm.'] : ['norm.', 'fc_norm.'];
  const names = stages.flatMap((stage) => [...stage.keys()]);
  const isHead = (name: string) => HEAD.test(name) || DECODER.test(name);
  const hasOther = names.includes(`${other}weight`) || names.some((name) => DECODER.test(name));
  const isNormNew = !isTapped && !names.includes(`${norm}weight`) && hasOther;
  const isLeftOut = (name: string) =>
    isHead(name) || name.startsWith(other) || (isTapped && name.startsWith(norm));
  return {
    stages: stages.map((stage) => new Map([...stage].filter(([name]) => !isLeftOut(name)))),
    isFresh: (name) => isHead(name) || (isNormNew && name.startsWith(norm)),
    leftOut: names.filter(isLeftOut),
  };
}
