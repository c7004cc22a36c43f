import { InputError } from '../../base/errors.js';
import type { RandomKey } from '../../base/random.js';
import { type TokenGrid, windowAttention } from '../../models/detection/window-attention.js';
import { hiddenWidth } from '../../models/vit/config.js';
import { PatchEmbed, resizedPositions } from '../../models/vit/embedding.js';
import { type InitContext, normalParameter } from '../../nn/init.js';
import { Attention, dropPathOf, LayerNorm, LayerScale, Mlp } from '../../nn/layers.js';
import { Module } from '../../nn/module.js';
import { add, conv2d, reshape, transpose } from '../../torch/ops.js';
import type { Generator } from '../../torch/random.js';
import type { Tensor } from '../../torch/tensor.js';

/** The geometry of a Vision Transformer that looks for objects. */
export interface VitBackboneConfig {
  readonly patchSize: number;
  readonly channels: number;
  readonly width: number;
  /** A multiple of 4. */
  readonly depth: number;
  readonly heads: number;
  /** Default 4. */
  readonly mlpRatio?: number;
  /** Side of the grid of patches that the position embedding is stored for; it is resized to each batch. */
  readonly grid: number;
  /** Side of the windows, in tokens. Default 14. */
  readonly window?: number;
  /** Drop-path rate of the last block; it rises from 0. Default 0. */
  readonly dropPath?: number;
}

/** How a forward pass is run. */
export interface BackbonePass {
  readonly training: boolean;
  readonly generator: Generator;
  /** Of the drop path. */
  readonly key: RandomKey;
}

const EPS = 1e-6;

/**
 * A Vision Transformer as the backbone of a detector, as in the baselines of ViT-Adapter: no class token, LayerScale (from 1), and attention
 * within windows in all blocks but four, the last of each quarter, which attend to the whole image and whose outputs are returned.
 * The names of the parameters are those of `vit`.
 *
 * @throws InputError if the depth is not a multiple of 4
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const config = { patchSize: 4, channels: 3, width: 32, depth: 4, heads: 2, grid: 4, window: 2 };
 * const backbone = new VitBackbone(config, context);
 * const pass = { training: false, generator: context.generator, key: [] };
 * backbone.forward(zeros([1, 3, 16, 24]), pass).map(({ shape }) => shape); // four times [1, 32, 4, 6]
 */
export class VitBackbone extends Module {
  readonly pos_embed: Tensor;
  readonly patch_embed: PatchEmbed;
  readonly blocks: readonly WindowBlock[];
  readonly #config: VitBackboneConfig;

  constructor(config: VitBackboneConfig, context: InitContext) {
    super();
    const { width, depth, grid, dropPath = 0 } = config;
    if (depth % 4 !== 0)
      throw new InputError(`a backbone of depth ${depth} cannot be cut into four quarters`);
    this.pos_embed = normalParameter([1, grid ** 2, width], context);
    this.patch_embed = new PatchEmbed(config, context);
    this.blocks = Array.from({ length: depth }, (_, i) => {
      const rate = depth === 1 ? 0 : (dropPath * i) / (depth - 1);
      return new WindowBlock(config, { rate, isGlobal: isTap(i, depth) }, context);
    });
    this.#config = config;
  }

  /**
   * @param images [B, channels, H, W]
   * @returns four maps [B, width, H / patchSize, W / patchSize], the shallowest first
   * @throws InputError if the patch size does not divide H and W
   */
  forward(images: Tensor, pass: BackbonePass): Tensor[] {
    const { patchSize, width } = this.#config;
    const [batch, , height, columns] = images.shape;
    if (height % patchSize !== 0 || columns % patchSize !== 0) {
      throw new InputError(
        `images of ${columns} x ${height} cannot be cut into patches of ${patchSize} pixels`,
        {
          hint: 'pad the images to a multiple of the patch size',
        },
      );
    }
    const grid = { height: height / patchSize, width: columns / patchSize };
    const { weight, bias } = this.patch_embed.proj;
    const patches = conv2d(images, weight, bias, { stride: patchSize });
    const positions = resizedPositions(this.pos_embed, {
      grid: grid.height,
      columns: grid.width,
      prefixTokens: 0,
    });
    let tokens = add(transpose(reshape(patches, [batch, width, -1]), 1, 2), positions);
    const taps: Tensor[] = [];
    for (const [i, block] of this.blocks.entries()) {
      tokens = block.forward(tokens, grid, pass.training ? { ...pass, key: [...pass.key, i] } : pass);
      if (!isTap(i, this.blocks.length)) continue;
      taps.push(reshape(transpose(tokens, 1, 2), [batch, width, grid.height, grid.width]));
    }
    return taps;
  }
}

function isTap(block: number, depth: number): boolean {
  return (block + 1) % (depth / 4) === 0;
}

/** [B, N, D] -> [B, N, D]. */
class WindowBlock extends Module {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly ls1: LayerScale;
  readonly norm2: LayerNorm;
  readonly mlp: Mlp;
  readonly ls2: LayerScale;
  readonly #heads: number;
  readonly #window: number | null;
  readonly #rate: number;

  constructor(
    config: VitBackboneConfig,
    place: { readonly rate: number; readonly isGlobal: boolean },
    context: InitContext,
  ) {
    super();
    const { width, heads, mlpRatio = 4, window = 14 } = config;
    this.norm1 = new LayerNorm(width, EPS, context);
    this.attn = new Attention(width, heads, true, context);
    this.ls1 = new LayerScale(width, 1, context);
    this.norm2 = new LayerNorm(width, EPS, context);
    this.mlp = new Mlp(width, hiddenWidth({ width, mlpRatio }), context);
    this.ls2 = new LayerScale(width, 1, context);
    this.#heads = heads;
    this.#window = place.isGlobal ? null : window;
    this.#rate = place.rate;
  }

  forward(x: Tensor, grid: TokenGrid, pass: BackbonePass): Tensor {
    const drop = dropPathOf(this.#rate, pass);
    const normed = this.norm1.forward(x);
    const attended =
      this.#window === null
        ? this.attn.forward(normed)
        : windowAttention(this.attn, this.#heads, normed, grid, this.#window);
    const y = add(x, drop(this.ls1.forward(attended)));
    return add(y, drop(this.ls2.forward(this.mlp.forward(this.norm2.forward(y)))));
  }
}
