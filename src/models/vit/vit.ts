import { InputError } from '../../base/errors.js';
import { requireWhole } from '../../base/numbers.js';
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
import { tapsOf, type UperNetConfig } from '../dense/decoder-config.js';
import { decoderCost } from '../dense/decoder-cost.js';
import { gridOfPatches, tapped, untapped } from '../dense/taps.js';
import { UperNet } from '../dense/upernet.js';
import { Detector } from '../detection/detector.js';
import type { DetectorConfig } from '../detection/detector-config.js';
import { detectorCost } from '../detection/detector-cost.js';
import { windowAttention } from '../detection/window-attention.js';
import { convolution, linearTensors, normTensors, partCost, vector } from '../part-cost.js';
import {
  type BlockActivations,
  type BlockCost,
  type BlockPlace,
  type BlockSpan,
  type Blueprint,
  type FeatureImages,
  Layer,
  type Pass,
  type TensorCost,
} from '../staged.js';
import { PatchEmbed, resizedPositions } from './embedding.js';

/** The geometry of a Vision Transformer (Dosovitskiy et al. 2021), with the official code's options. */
export interface VitConfig {
  /** Side of the images, in pixels. */
  readonly imageSize: number;
  readonly patchSize: number;
  readonly channels: number;
  readonly classes: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
  readonly mlpRatio: number;
  readonly qkvBias: boolean;
  readonly layerNormEps: number;
  readonly classToken: boolean;
  /**
   * Input of the head: the class token, or the mean of the patch tokens (timm's global_pool). Default: the class token if there
   * is one, otherwise the mean.
   */
  readonly pool?: 'token' | 'mean';
  /** The final norm follows the pooling and is named `fc_norm` (timm, MAE), instead of `norm` before it. Default false. */
  readonly fcNorm?: boolean;
  /**
   * Adds a distillation token after the class token, with its own head (DeiT, Touvron et al. 2021, section 4). In training, the
   * model returns the logits of both heads, [B, 2, classes], class head first; in evaluation their mean, [B, classes]. Requires
   * the class token. Default false.
   */
  readonly distilled?: boolean;
  /**
   * The position embedding has no slots for the tokens before the patch tokens (timm's no_embed_class, DeiT-III). Default false.
   */
  readonly noEmbedClass?: boolean;
  /**
   * Number of learned tokens between the class token and the patch tokens, which no head reads (Darcet et al. 2024, "Vision
   * Transformers Need Registers"). Requires `noEmbedClass`. Default 0.
   */
  readonly registers?: number;
  /** Kind of all norms. Default LayerNorm. */
  readonly norm?: 'layer' | 'rms';
  /** Queries and keys are normalised over the width of a head, before attention (Henry et al. 2020; ViT-22B). Default false. */
  readonly qkNorm?: boolean;
  /**
   * Initial value of LayerScale (Touvron et al. 2021, CaiT): a factor for each channel of each branch's output, named `ls1.gamma` and
   * `ls2.gamma` as in timm. Default: no LayerScale.
   */
  readonly layerScale?: number;
  /** The last projection of each branch starts at zero, so the blocks start as the identity. Default false. */
  readonly zeroInit?: boolean;
  /**
   * A decoder on the outputs of several blocks, instead of the final norm and the heads; see `UperNet` for its output. Default:
   * none.
   */
  readonly decoder?: UperNetConfig;
  /**
   * Mask R-CNN on the outputs of several blocks, instead of the final norm and the heads; see `Detector` for its output. All blocks but
   * these attend within windows. Needs a model without class token. Default: none.
   */
  readonly detector?: DetectorConfig;
}

/** Number of tokens, including those before the patch tokens. */
export function tokenCount(config: VitConfig): number {
  return (config.imageSize / config.patchSize) ** 2 + prefixTokens(config);
}

/** Number of slots of the position embedding. */
export function slotCount(config: VitConfig): number {
  return config.noEmbedClass ? tokenCount(config) - prefixTokens(config) : tokenCount(config);
}

/** Number of tokens before the patch tokens: class token, distillation token, registers. */
export function prefixTokens(config: VitConfig): number {
  return headTokens(config) + (config.registers ?? 0);
}

/** Number of tokens that heads read: class token, distillation token. */
export function headTokens({ classToken, distilled }: VitConfig): number {
  return Number(classToken) + Number(distilled ?? false);
}

/** Whether the head reads the mean of the patch tokens. */
export function isMeanPooled({ pool, classToken }: Pick<VitConfig, 'pool' | 'classToken'>): boolean {
  return (pool ?? (classToken ? 'token' : 'mean')) === 'mean';
}

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

/** Side of the windows that a block attends within, in tokens; undefined if it attends to the whole image, as tapped blocks do. */
function windowOf({ detector }: VitConfig, { from, to }: BlockSpan): number | undefined {
  return detector?.taps.some((tap) => from <= tap && tap < to) ? undefined : detector?.window;
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

function requirePool({ pool, classToken, distilled }: VitConfig): void {
  if (pool === 'token' && !classToken) {
    throw new InputError('pooling by the class token needs one', {
      hint: "set classToken to true, or pool to 'mean'",
    });
  }
  if (pool === 'mean' && distilled) {
    throw new InputError('a distilled model classifies by its tokens: mean pooling is not supported');
  }
}

function requireRegisters({ registers = 0, noEmbedClass, distilled }: VitConfig): void {
  if (registers === 0) return;
  requireWhole('registers', registers, 1);
  if (distilled) throw new InputError('registers and a distillation token cannot be combined');
  if (noEmbedClass) return;
  throw new InputError('registers need a position embedding of the patches only', {
    hint: 'set noEmbedClass to true',
  });
}

/** Makes norms of the model's kind. */
function normOf({ norm, layerNormEps }: VitConfig, context: InitContext): (width: number) => Norm {
  const Kind = norm === 'rms' ? RmsNorm : LayerNorm;
  return (width) => new Kind(width, layerNormEps, context);
}

function requireSizes({ imageSize, patchSize, channels, classes, width, depth, heads }: VitConfig): void {
  const sizes = { imageSize, patchSize, channels, classes, width, depth, heads };
  for (const [name, value] of Object.entries(sizes)) requireWhole(name, value, 1);
  if (imageSize % patchSize !== 0) {
    throw new InputError(`patchSize ${patchSize} does not divide imageSize ${imageSize}`);
  }
  if (width % heads !== 0) throw new InputError(`heads ${heads} does not divide width ${width}`);
}

function requirePatches({ patchSize }: VitConfig, imageSize: number): void {
  if (imageSize % patchSize === 0 && imageSize > 0) return;
  const less = Math.floor(imageSize / patchSize) * patchSize;
  const sizes = [less, less + patchSize].filter((size) => size > 0);
  throw new InputError(`${imageSize} pixels are not a multiple of the patch size ${patchSize}`, {
    hint: `choose ${sizes.join(' or ')}`,
  });
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
    const { width, heads, qkvBias, mlpRatio, layerScale, qkNorm } = config;
    const norm = normOf(config, context);
    const scale = () => (layerScale === undefined ? null : new LayerScale(width, layerScale, context));
    this.norm1 = norm(width);
    this.attn = new Attention(width, heads, qkvBias, context, { ...(qkNorm && { qkNorm: norm }) });
    this.ls1 = scale();
    this.norm2 = norm(width);
    this.mlp = new Mlp(width, Math.floor(width * mlpRatio), context);
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

/**
 * Norms keep their inputs, and trained projections keep the norms' outputs. Attention keeps queries, keys, values, its output
 * and one log-sum per head. GELU keeps its input, and the second projection keeps GELU's output. Frozen projections do not keep
 * their inputs.
 */
function vitActivations(config: VitConfig, window: number | undefined): BlockActivations {
  const { width: D, heads, mlpRatio, layerScale, qkNorm } = config;
  const N = tokenCount(config);
  const hidden = Math.floor(D * mlpRatio);
  // A trained LayerScale keeps its input.
  const scales = layerScale === undefined ? 0 : 2 * N * D;
  // Norms of queries and keys keep their inputs, and attention their outputs.
  const normed = qkNorm ? N * (2 * D + 4 * heads) : 0;
  // Windows are padded after the projection.
  const padding = (attendedTokens(config, window) - N) * (3 * D + D + heads);
  const frozen = N * (D + 3 * D + D + D + hidden + heads + 4) + normed + padding;
  return {
    suffix: frozen,
    trained: frozen + N * (D + D + hidden) + scales,
    input: N * D,
    // The last block computes only keys and values, and the inputs that they need, for all tokens.
    ...(!isMeanPooled(config) &&
      !tapsOf(config) && {
        lastSpares: {
          suffix: frozen - 3 * N * D,
          trained: frozen + N * (D + D + hidden) + scales - 4 * N * D,
        },
      }),
    workspace: N * (2 * D + 2 * hidden),
  };
}

/** A block whose input also carries `elements` numbers of taps: the norm keeps all of it. */
function carrying(block: BlockCost, elements: number): BlockCost {
  const { activations } = block;
  if (elements === 0 || activations === undefined) return block;
  const { trained, suffix, input } = activations;
  return {
    ...block,
    activations: {
      ...activations,
      trained: trained + elements,
      suffix: suffix + elements,
      input: input + elements,
    },
  };
}

/** MACs = L(12 N D^2 + 2 N^2 D) + n C p^2 D + classes D, generalised to any MLP ratio and to both heads. */
function vitCost(config: VitConfig): Blueprint['cost'] {
  const { width: D } = config;
  const N = tokenCount(config);
  const { macs, ...rest } = partCost(blockTensors(config));
  const blockOf = (window: number | undefined): BlockCost => {
    const keys = window === undefined ? N : window ** 2;
    // The products of queries, keys and values have no parameters, so they are added here.
    const products = 2 * attendedTokens(config, window) * keys * D;
    return { ...rest, macs: macs + products, activations: vitActivations(config, window) };
  };
  const taps = tapsOf(config) ?? [];
  return {
    tokens: N,
    stem: partCost(stemTensors(config)),
    block: (span) =>
      carrying(blockOf(windowOf(config, span)), taps.filter((tap) => tap < span.from).length * N * D),
    head: headCost(config),
  };
}

/** Number of tokens of an image, with the padding of the windows. */
function attendedTokens(config: VitConfig, window: number | undefined): number {
  if (window === undefined) return tokenCount(config);
  const grid = config.imageSize / config.patchSize;
  return (Math.ceil(grid / window) * window) ** 2;
}

function headCost(config: VitConfig): BlockCost {
  const { decoder, detector, imageSize } = config;
  if (detector) return detectorCost({ ...config, detector }, imageSize);
  return decoder ? decoderCost({ ...config, decoder }, imageSize) : partCost(headTensors(config));
}

function stemTensors(config: VitConfig): Record<string, TensorCost> {
  const { width: D, channels, patchSize, classToken, distilled, registers = 0 } = config;
  const N = tokenCount(config);
  const uses = N - prefixTokens(config);
  return {
    pos_embed: vector(slotCount(config) * D),
    ...(classToken && { cls_token: vector(D) }),
    ...(distilled && { dist_token: vector(D) }),
    ...(registers > 0 && { reg_token: vector(registers * D) }),
    'patch_embed.proj.weight': convolution(channels * patchSize * patchSize, D, uses),
    'patch_embed.proj.bias': vector(D),
  };
}

function blockTensors(config: VitConfig): Record<string, TensorCost> {
  const { width: D, heads, mlpRatio, qkvBias, layerScale, qkNorm } = config;
  const scale = (name: string) => (layerScale === undefined ? {} : { [`${name}.gamma`]: vector(D) });
  const norm = normCost(config);
  const uses = tokenCount(config);
  const hidden = Math.floor(D * mlpRatio);
  return {
    ...norm('norm1', D),
    ...linearTensors('attn.qkv', D, 3 * D, { uses, hasBias: qkvBias }),
    ...(qkNorm && { ...norm('attn.q_norm', D / heads), ...norm('attn.k_norm', D / heads) }),
    ...linearTensors('attn.proj', D, D, { uses }),
    ...scale('ls1'),
    ...norm('norm2', D),
    ...linearTensors('mlp.fc1', D, hidden, { uses }),
    ...linearTensors('mlp.fc2', hidden, D, { uses }),
    ...scale('ls2'),
  };
}

function normCost({ norm }: VitConfig): (name: string, width: number) => Record<string, TensorCost> {
  return norm === 'rms' ? (name, width) => ({ [`${name}.weight`]: vector(width) }) : normTensors;
}

function headTensors(config: VitConfig): Record<string, TensorCost> {
  const { width: D, classes, distilled, fcNorm } = config;
  return {
    ...normCost(config)(fcNorm ? 'fc_norm' : 'norm', D),
    ...linearTensors('head', D, classes, { uses: 1 }),
    ...(distilled && linearTensors('head_dist', D, classes, { uses: 1 })),
  };
}
