import { Attention } from '../nn/attention.js';
import { dropPath } from '../nn/drop-path.js';
import { fanInParameter, type InitContext, normalParameter } from '../nn/init.js';
import { LayerNorm, Linear, Mlp } from '../nn/layers.js';
import { Module } from '../nn/module.js';
import { add, concat, expand, linear, mean, permute, reshape, select, slice } from '../torch/ops.js';
import type { Tensor } from '../torch/tensor.js';
import { type Blueprint, Layer, type Pass } from './staged.js';

/** The geometry of a Vision Transformer (Dosovitskiy et al. 2021), with the official code's options. */
export interface VitConfig {
  /** Pixels of a side. */
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
  /** Classify by a class token; otherwise by the mean of the patch tokens. */
  readonly classToken: boolean;
}

/** Number of tokens, the class token included. */
export function tokenCount(config: VitConfig): number {
  return (config.imageSize / config.patchSize) ** 2 + (config.classToken ? 1 : 0);
}

export function vit(config: VitConfig): Blueprint {
  return {
    depth: config.depth,
    input: { channels: config.channels, size: config.imageSize },
    classes: config.classes,
    undecayed: ['pos_embed', 'cls_token'],
    makeStem: (context) => new VitStem(config, context),
    makeBlock: (dropPathRate, context, isLast) => new VitBlock(config, dropPathRate, context, isLast),
    makeHead: (context) => new VitHead(config, context),
    cost: vitCost(config),
  };
}

/** The convolution that embeds patches, stride equal to its size; computed as one matrix product. */
class PatchProjection extends Module {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor({ channels, patchSize, width }: VitConfig, context: InitContext) {
    super();
    const fanIn = channels * patchSize * patchSize;
    this.weight = fanInParameter([width, channels, patchSize, patchSize], fanIn, context);
    this.bias = fanInParameter([width], fanIn, context);
  }
}

class PatchEmbed extends Module {
  readonly proj: PatchProjection;

  constructor(config: VitConfig, context: InitContext) {
    super();
    this.proj = new PatchProjection(config, context);
  }
}

/** Patch embedding, class token, position embedding: images [B, C, S, S] -> tokens [B, N, D]. */
class VitStem extends Layer {
  readonly pos_embed: Tensor;
  readonly cls_token: Tensor | null;
  readonly patch_embed: PatchEmbed;
  readonly #config: VitConfig;

  constructor(config: VitConfig, context: InitContext) {
    super();
    this.pos_embed = normalParameter([1, tokenCount(config), config.width], context);
    this.cls_token = config.classToken ? normalParameter([1, 1, config.width], context) : null;
    this.patch_embed = new PatchEmbed(config, context);
    this.#config = config;
  }

  forward(images: Tensor): Tensor {
    const { patchSize: patch, channels, imageSize, width } = this.#config;
    const batch = images.shape[0];
    const grid = imageSize / patch;
    const { weight, bias } = this.patch_embed.proj;
    const cells = reshape(images, [batch, channels, grid, patch, grid, patch]);
    const patches = reshape(permute(cells, [0, 2, 4, 1, 3, 5]), [
      batch,
      grid * grid,
      channels * patch * patch,
    ]);
    const tokens = linear(patches, reshape(weight, [width, channels * patch * patch]), bias);
    if (this.cls_token === null) return add(tokens, this.pos_embed);
    return add(concat([expand(this.cls_token, [batch, 1, width]), tokens], 1), this.pos_embed);
  }
}

/** x + drop(attn(norm1(x))), then x + drop(mlp(norm2(x))): [B, N, D] -> [B, N, D], or [B, 1, D] from the last. */
class VitBlock extends Layer {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly #dropPath: number;
  readonly #classTokenOnly: boolean;

  constructor(config: VitConfig, dropPathRate: number, context: InitContext, isLast: boolean) {
    super();
    const { width, heads, qkvBias, mlpRatio, layerNormEps } = config;
    this.norm1 = new LayerNorm(width, layerNormEps, context);
    this.attn = new Attention(width, heads, qkvBias, context);
    this.norm2 = new LayerNorm(width, layerNormEps, context);
    this.mlp = new Mlp(width, Math.floor(width * mlpRatio), context);
    this.#dropPath = dropPathRate;
    this.#classTokenOnly = isLast && config.classToken;
  }

  forward(x: Tensor, pass: Pass): Tensor {
    // The head reads the class token alone: the last block computes no other, which changes no number.
    const outputs = this.#classTokenOnly ? 1 : x.shape[1];
    const residual = this.#classTokenOnly ? slice(x, 1, 0, 1) : x;
    const y = add(residual, this.#drop(this.attn.forward(this.norm1.forward(x), outputs), pass));
    return add(y, this.#drop(this.mlp.forward(this.norm2.forward(y)), pass));
  }

  #drop(branch: Tensor, pass: Pass): Tensor {
    return pass.training && this.#dropPath > 0 ? dropPath(branch, this.#dropPath, pass.generator) : branch;
  }
}

/** Final norm and classifier, on the class token or the mean token: [B, N, D] -> [B, classes]. */
class VitHead extends Layer {
  readonly norm: LayerNorm;
  readonly head: Linear;
  readonly #classToken: boolean;

  constructor(config: VitConfig, context: InitContext) {
    super();
    this.norm = new LayerNorm(config.width, config.layerNormEps, context);
    this.head = new Linear(config.width, config.classes, context);
    this.#classToken = config.classToken;
  }

  forward(x: Tensor): Tensor {
    // The norm works token by token: normalising the class token alone gives the same numbers.
    if (this.#classToken) return this.head.forward(this.norm.forward(select(x, 1, 0)));
    return this.head.forward(mean(this.norm.forward(x), 1));
  }
}

/** method.md section 6: MACs = L(12 N D^2 + 2 N^2 D) + n C p^2 D + classes D, here for any MLP ratio. */
function vitCost(config: VitConfig): Blueprint['cost'] {
  const { width: D, classes, channels, patchSize, mlpRatio, classToken, qkvBias } = config;
  const N = tokenCount(config);
  const patches = N - (classToken ? 1 : 0);
  const hidden = Math.floor(D * mlpRatio);
  const patchInputs = channels * patchSize * patchSize;
  return {
    stem: { macs: patches * patchInputs * D, parameters: (patchInputs + 1 + N + (classToken ? 1 : 0)) * D },
    block: {
      macs: N * (4 * D * D + 2 * D * hidden) + 2 * N * N * D,
      parameters: 4 * D + 3 * D * D + (qkvBias ? 3 * D : 0) + D * D + D + 2 * D * hidden + hidden + D,
    },
    head: { macs: classes * D, parameters: 2 * D + (D + 1) * classes },
  };
}
