import { InputError } from '../../base/errors.js';
import { requireWhole } from '../../base/numbers.js';
import type { UperNetConfig } from '../dense/decoder-config.js';
import type { DetectorConfig } from '../detection/detector-config.js';
import type { BlockSpan } from '../staged.js';

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

/** Hidden width of the MLP: rounded down, as in timm. */
export function hiddenWidth({ width, mlpRatio }: Pick<VitConfig, 'width' | 'mlpRatio'>): number {
  return Math.floor(width * mlpRatio);
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

/** Side of the windows that a block attends within, in tokens; undefined if it attends to the whole image, as tapped blocks do. */
export function windowOf({ detector }: VitConfig, { from, to }: BlockSpan): number | undefined {
  return detector?.taps.some((tap) => from <= tap && tap < to) ? undefined : detector?.window;
}

export function requirePool({ pool, classToken, distilled }: VitConfig): void {
  if (pool === 'token' && !classToken) {
    throw new InputError('pooling by the class token needs one', {
      hint: "set classToken to true, or pool to 'mean'",
    });
  }
  if (pool === 'mean' && distilled) {
    throw new InputError('a distilled model classifies by its tokens: mean pooling is not supported');
  }
}

export function requireRegisters({ registers = 0, noEmbedClass, distilled }: VitConfig): void {
  if (registers === 0) return;
  requireWhole('registers', registers, 1);
  if (distilled) throw new InputError('registers and a distillation token cannot be combined');
  if (noEmbedClass) return;
  throw new InputError('registers need a position embedding of the patches only', {
    hint: 'set noEmbedClass to true',
  });
}

export function requireSizes({
  imageSize,
  patchSize,
  channels,
  classes,
  width,
  depth,
  heads,
  mlpRatio,
}: VitConfig): void {
  const hidden = hiddenWidth({ width, mlpRatio });
  const sizes = { imageSize, patchSize, channels, classes, width, depth, heads, 'width * mlpRatio': hidden };
  for (const [name, value] of Object.entries(sizes)) requireWhole(name, value, 1);
  if (imageSize % patchSize !== 0) {
    throw new InputError(`patchSize ${patchSize} does not divide imageSize ${imageSize}`);
  }
  if (width % heads !== 0) throw new InputError(`heads ${heads} does not divide width ${width}`);
}

export function requirePatches({ patchSize }: VitConfig, imageSize: number): void {
  if (imageSize % patchSize === 0 && imageSize > 0) return;
  const less = Math.floor(imageSize / patchSize) * patchSize;
  const sizes = [less, less + patchSize].filter((size) => size > 0);
  throw new InputError(`${imageSize} pixels are not a multiple of the patch size ${patchSize}`, {
    hint: `choose ${sizes.join(' or ')}`,
  });
}
