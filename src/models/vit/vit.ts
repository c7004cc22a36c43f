import { InputError } from '../../base/errors.js';
import { type InitContext, normalParameter, setToZero } from '../../nn/init.js';
import {
  Attention,
  asOneMatrix,
  dropPathOf,
  LayerNorm,
  LayerScale,
  Linear,
  Mlp,
  type Norm,
  RmsNorm,
} from '../../nn/layers.js';
import {
  add,
  concat,
  expand,
  linear,
  mean,
  permute,
  reshape,
  select,
  slice,
  transpose,
} from '../../torch/ops.js';
import type { Tensor } from '../../torch/tensor.js';
import { tapsOf } from '../dense/decoder-config.js';
import { gridOfPatches, tapped, untapped } from '../dense/taps.js';
import { UperNet } from '../dense/upernet.js';
import { Detector } from '../detection/detector.js';
import { windowAttention } from '../detection/window-attention.js';
import { type BlockPlace, type Blueprint, type FeatureImages, Layer, type Pass } from '../staged.js';
import {
  headTokens,
  hiddenWidth,
  isMeanPooled,
  prefixTokens,
  requirePatches,
  requirePool,
  requireRegisters,
  requireSizes,
  slotCount,
  type VitConfig,
  windowOf,
} from './config.js';
import { vitCost } from './cost.js';
import { PatchEmbed, resizedPositions } from './embedding.js';

/**
 * @throws InputError if there is a distillation token without a class token, the pooling is not possible, a size is invalid,
 *   `patchSize` does not divide `imageSize`, or `heads` does not divide `width`
 *
 * @example
 * const tiny = vit({
 *   imageSize: 16, patchSize: 8, channels: 3, classes: 2, width: 16, depth: 4, heads: 2, mlpRatio: 4,
 *   qkvBias: true, layerNormEps: 1e-6, classToken: true,
 * });
 * console.log(tiny.depth, tiny.cost.block({ from: 0, to: 1 }).parameters);
 */
export function vit(config: VitConfig): Blueprint {
  if (config.distilled && !config.classToken) {
    throw new InputError('a distilled model needs a class token', { hint: 'set classToken to true' });
  }
  requirePool(config);
  requireRegisters(config);
  requireSizes(config);
  return {
    depth: config.depth,
    input: { channels: config.channels, size: config.imageSize },
    classes: config.classes,
    undecayed: ['pos_embed', 'cls_token', 'dist_token'],
    makeStem: (context) => new VitStem(config, context),
    makeBlock: (dropPathRate, context, place) => makeBlock(config, dropPathRate, context, place),
    makeHead: (context) => makeHead(config, context),
    ...(tapsOf(config) && { isTapped: true }),
    zeroBranches: (block) => (untapped(block) as VitBlock).zeroBranches(),
    // With taps, the features between blocks are not one tensor of tokens.
    ...(tapsOf(config) === undefined && { featureMap: patchMap(config) }),
    cost: vitCost(config),
    costAt(imageSize) {
      requirePatches(config, imageSize);
      return vitCost({ ...config, imageSize });
    },
  };
}

function makeBlock(config: VitConfig, rate: number, context: InitContext, place: BlockPlace): Layer {
  const taps = tapsOf(config);
  const block = new VitBlock(config, context, {
    dropPath: rate,
    isLast: place.isLast && !taps,
    window: windowOf(config, place),
  });
  if (config.zeroInit) block.zeroBranches();
  return taps ? tapped(block, { taps, prefix: prefixTokens(config) }, place) : block;
}

function makeHead(config: VitConfig, context: InitContext): Layer {
  const { decoder, detector } = config;
  if (decoder) return new UperNet({ ...config, decoder }, context);
  return detector ? new Detector({ ...config, detector }, context) : new VitHead(config, context);
}

/** The patch tokens as an image of width D; the tokens before them are left out. */
function patchMap(config: VitConfig): FeatureImages {
  const { imageSize, patchSize, width } = config;
  const grid = imageSize / patchSize;
  const prefix = prefixTokens(config);
  return {
    shape: () => [width, grid, grid],
    of: (tokens) => reshape(transpose(slice(tokens, 1, prefix), 1, 2), [tokens.shape[0], width, grid, grid]),
  };
}

/** Makes norms of the model's kind. */
function normOf({ norm, layerNormEps }: VitConfig, context: InitContext): (width: number) => Norm {
  const Kind = norm === 'rms' ? RmsNorm : LayerNorm;
  return (width) => new Kind(width, layerNormEps, context);
}

/**
 * Patch embedding, class and distillation token, registers, position embedding: images [B, C, S, S] -> tokens [B, N, D]. The position
 * embedding is resized to images of another size, which must be square and a multiple of the patch size.
 */
class VitStem extends Layer {
  readonly pos_embed: Tensor;
  readonly cls_token: Tensor | null;
  readonly dist_token: Tensor | null;
  readonly reg_token: Tensor | null;
  readonly patch_embed: PatchEmbed;
  readonly #config: VitConfig;

  constructor(config: VitConfig, context: InitContext) {
    super();
    this.pos_embed = normalParameter([1, slotCount(config), config.width], context);
    this.cls_token = config.classToken ? normalParameter([1, 1, config.width], context) : null;
    this.dist_token = config.distilled ? normalParameter([1, 1, config.width], context) : null;
    const { registers = 0 } = config;
    this.reg_token = registers > 0 ? normalParameter([1, registers, config.width], context) : null;
    this.patch_embed = new PatchEmbed(config, context);
    this.#config = config;
  }

  forward(images: Tensor): Tensor {
    const { patchSize: patch, channels, width } = this.#config;
    const batch = images.shape[0];
    const [rows, columns] = this.#gridOf(images);
    const { weight, bias } = this.patch_embed.proj;
    const cells = reshape(images, [batch, channels, rows, patch, columns, patch]);
    const patches = reshape(permute(cells, [0, 2, 4, 1, 3, 5]), [
      batch,
      rows * columns,
      channels * patch * patch,
    ]);
    const positions = this.#positions(rows, columns);
    const tokens = linear(patches, reshape(weight, [width, channels * patch * patch]), bias);
    const before = [this.cls_token, this.dist_token, this.reg_token].filter((token) => token !== null);
    if (before.length === 0) return add(tokens, positions);
    const expanded = before.map((token) => expand(token, [batch, token.shape[1], width]));
    if (this.#config.noEmbedClass) return concat([...expanded, add(tokens, positions)], 1);
    return add(concat([...expanded, tokens], 1), positions);
  }

  /** Rows and columns of patches. */
  #gridOf({ shape }: Tensor): [rows: number, columns: number] {
    const { patchSize } = this.#config;
    const [, , height, width] = shape;
    const isSupported = height === width || tapsOf(this.#config) !== undefined;
    if (isSupported && height % patchSize === 0 && width % patchSize === 0)
      return [height / patchSize, width / patchSize];
    throw new InputError(`the images are ${width} x ${height} pixels`, {
      hint: `the model takes square images whose side is a multiple of its patch size ${patchSize}`,
    });
  }

  #positions(rows: number, columns: number): Tensor {
    const { noEmbedClass } = this.#config;
    const slots = noEmbedClass ? 0 : prefixTokens(this.#config);
    return resizedPositions(this.pos_embed, { grid: rows, columns, prefixTokens: slots });
  }
}

interface BlockOptions {
  readonly dropPath: number;
  readonly isLast: boolean;
  /** Side of the windows that it attends within, in tokens. Default: the whole image. */
  readonly window: number | undefined;
}

/**
 * x + drop(ls1(attn(norm1(x)))), then x + drop(ls2(mlp(norm2(x)))): [B, N, D] -> [B, N, D]. Without mean pooling, the last block
 * returns only the heads' tokens.
 */
class VitBlock extends Layer {
  readonly norm1: Norm;
  readonly attn: Attention;
  readonly ls1: LayerScale | null;
  readonly norm2: Norm;
  readonly mlp: Mlp;
  readonly ls2: LayerScale | null;
  readonly #dropPath: number;
  /** Number of tokens that it returns, or null for all. */
  readonly #outputs: number | null;
  readonly #config: VitConfig;
  readonly #window: number | undefined;

  constructor(config: VitConfig, context: InitContext, { dropPath, isLast, window }: BlockOptions) {
    super();
    const { width, heads, qkvBias, layerScale, qkNorm } = config;
    const norm = normOf(config, context);
    const scale = () => (layerScale === undefined ? null : new LayerScale(width, layerScale, context));
    this.norm1 = norm(width);
    this.attn = new Attention(width, heads, qkvBias, context, { ...(qkNorm && { qkNorm: norm }) });
    this.ls1 = scale();
    this.norm2 = norm(width);
    this.mlp = new Mlp(width, hiddenWidth(config), context);
    this.ls2 = scale();
    this.#dropPath = dropPath;
    this.#config = config;
    this.#window = window;
    // The heads read only their own tokens, so the last block computes no other tokens. The result is the same.
    this.#outputs = isLast && !isMeanPooled(config) ? headTokens(config) : null;
  }

  forward(x: Tensor, pass: Pass): Tensor {
    const drop = dropPathOf(this.#dropPath, pass);
    const outputs = this.#outputs ?? x.shape[1];
    const residual = this.#outputs === null ? x : slice(x, 1, 0, outputs);
    const scaled = (branch: Tensor, scale: LayerScale | null) => drop(scale?.forward(branch) ?? branch);
    const y = add(residual, scaled(this.#attend(this.norm1.forward(x), outputs, pass), this.ls1));
    return add(y, scaled(this.mlp.forward(this.norm2.forward(y)), this.ls2));
  }

  #attend(x: Tensor, outputs: number, { size }: Pass): Tensor {
    if (this.#window === undefined) return this.attn.forward(x, outputs);
    const { patchSize, heads } = this.#config;
    const [height, width] = gridOfPatches(x.shape[1], { patchSize, size });
    return windowAttention(this.attn, heads, x, { height, width }, this.#window);
  }

  zeroBranches(): void {
    setToZero(this.attn.proj, this.mlp.fc2);
  }
}

/** Pooling, final norm and classifiers: [B, N, D] -> [B, classes], or [B, 2, classes]. */
class VitHead extends Layer {
  readonly norm: Norm | null;
  readonly fc_norm: Norm | null;
  readonly head: Linear;
  readonly head_dist: Linear | null;
  readonly #isMeanPooled: boolean;
  /** Number of tokens before the patch tokens. */
  readonly #prefix: number;

  constructor(config: VitConfig, context: InitContext) {
    super();
    const norm = normOf(config, context)(config.width);
    this.norm = config.fcNorm ? null : norm;
    this.fc_norm = config.fcNorm ? norm : null;
    this.head = new Linear(config.width, config.classes, context);
    this.head_dist = config.distilled ? new Linear(config.width, config.classes, context) : null;
    this.#isMeanPooled = isMeanPooled(config);
    this.#prefix = prefixTokens(config);
  }

  forward(x: Tensor, pass: Pass): Tensor {
    if (this.#isMeanPooled) return this.head.forward(this.features(x));
    // The norm works on each token separately, so normalising only the tokens that are read gives the same result.
    if (this.head_dist === null) return this.head.forward(this.features(x));
    const tokens = this.#normed(slice(x, 1, 0, 2));
    const [byClass, byTeacher] = [slice(tokens, 1, 0, 1), slice(tokens, 1, 1)].map(asOneMatrix);
    const each = [this.head.forward(byClass), this.head_dist.forward(byTeacher)];
    const logits = concat(
      each.map((one) => reshape(one, [x.shape[0], 1, one.shape[2]])),
      1,
    );
    return pass.training ? logits : mean(logits, 1);
  }

  /** Of a distilled model: the mean of both tokens, as in timm. */
  override features(x: Tensor): Tensor {
    if (this.#isMeanPooled) return this.#pooledMean(x);
    if (this.head_dist === null) return this.#normed(select(x, 1, 0));
    return mean(this.#normed(slice(x, 1, 0, 2)), 1);
  }

  #pooledMean(x: Tensor): Tensor {
    const patches = this.#prefix === 0 ? x : slice(x, 1, this.#prefix);
    return this.fc_norm ? this.fc_norm.forward(mean(patches, 1)) : mean(this.#normed(patches), 1);
  }

  #normed(x: Tensor): Tensor {
    return (this.norm ?? this.fc_norm)?.forward(x) ?? x;
  }
}
