import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { requireDecoder } from '../dense/decoder-config.js';
import { decoderConfigOf, decoderSection } from '../dense/section.js';
import { requireDetector } from '../detection/detector-config.js';
import { detectorConfigOf, detectorSection } from '../detection/section.js';
import { hiddenWidth, type VitConfig } from './config.js';

/** Published ViT geometries. A recipe's `model` can override individual fields. */
export const VIT_PRESETS = {
  'vit-tiny': { width: 192, depth: 12, heads: 3, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  'vit-small': { width: 384, depth: 12, heads: 6, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  'vit-base': { width: 768, depth: 12, heads: 12, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  'vit-large': { width: 1024, depth: 24, heads: 16, patch_size: 16, qkv_bias: true, layer_norm_eps: 1e-6 },
  // Patch size 14, no qkv bias and PyTorch's default eps, as in the official ViT-H.
  'vit-huge': { width: 1280, depth: 32, heads: 16, patch_size: 14, qkv_bias: false, layer_norm_eps: 1e-5 },
  // The paper's CIFAR models: DeiT-T's width on 32 px images, 65 tokens.
  'deit-tiny-32': { width: 192, depth: 32, heads: 3, patch_size: 4, qkv_bias: true, layer_norm_eps: 1e-6 },
  'deit-tiny-128': { width: 192, depth: 128, heads: 3, patch_size: 4, qkv_bias: true, layer_norm_eps: 1e-6 },
} as const;

type VitPreset = keyof typeof VIT_PRESETS;
const PRESET_NAMES = Object.keys(VIT_PRESETS) as [VitPreset, ...VitPreset[]];

const count = z.int().positive();

/** A plan lists every block: far more exhaust the memory. */
const MOST_BLOCKS = 1000;
const positive = z.number().positive();

/** The section `model` of a recipe. */
export const vitSection = z.strictObject({
  preset: z.enum(PRESET_NAMES).optional().describe('Published geometry that the other fields override.'),
  image_size: count.describe('Image height and width in pixels.').default(224),
  patch_size: count.describe('Patch height and width in pixels; divides image_size.').optional(),
  channels: count.describe('Colour channels of the input.').default(3),
  classes: count.describe('Number of classes.').default(1000),
  width: count.describe('Width of a token.').optional(),
  depth: count.max(MOST_BLOCKS).describe('Number of blocks.').optional(),
  heads: count.describe('Attention heads; divides width.').optional(),
  mlp_ratio: positive.describe('Hidden width of the MLP, as a multiple of width.').default(4),
  qkv_bias: z.boolean().describe('Biases in the query, key and value projections.').optional(),
  layer_norm_eps: positive.describe('Epsilon of every norm.').optional(),
  norm: z.enum(['layer', 'rms']).describe('Kind of every norm: LayerNorm or RMSNorm.').default('layer'),
  qk_norm: z
    .boolean()
    .describe('Norms of queries and keys over the width of a head, before attention (ViT-22B, ViT-5).')
    .default(false),
  registers: z
    .int()
    .nonnegative()
    .describe('Number of register tokens (DINOv2, ViT-5); they need no_embed_class: true.')
    .default(0),
  class_token: z
    .boolean()
    .describe('Classify by a class token; otherwise by the mean of the tokens.')
    .default(true),
  pool: z
    .enum(['token', 'mean'])
    .describe(
      'Input of the head: the class token, or the mean of the patch tokens. Default: the class token, if there is one.',
    )
    .optional(),
  fc_norm: z
    .boolean()
    .describe('The final norm follows the pooling (timm, MAE). Default: with pool mean and a class token.')
    .optional(),
  distilled: z
    .boolean()
    .describe('A distillation token and head in addition to the class token (DeiT).')
    .default(false),
  no_embed_class: z
    .boolean()
    .describe('The position embedding has no slots for class token and registers (timm, DeiT-III).')
    .default(false),
  layer_scale: positive
    .describe('Initial value of LayerScale (CaiT, DeiT-III), such as 1e-5. Default: no LayerScale.')
    .optional(),
  zero_init: z
    .boolean()
    .describe('The last projection of each branch starts at zero: the blocks start as the identity.')
    .default(false),
  decoder: z
    .discriminatedUnion('kind', [decoderSection, detectorSection])
    .describe(
      'Instead of a head that classifies the image: a decoder that labels each pixel (task: segmentation), or one that finds objects (task: detection).',
    )
    .optional(),
  family: z.literal('vit').optional().describe('Kind of model. Default: vit, a Vision Transformer.'),
});

export type VitSection = z.output<typeof vitSection>;

/** The geometry that a section describes. */
export function vitConfigOf(section: VitSection, source: string): VitConfig {
  const { preset, family: _, ...given } = section;
  const base = preset === undefined ? undefined : VIT_PRESETS[preset];
  const need = <K extends 'width' | 'depth' | 'heads' | 'patch_size'>(key: K): number => {
    const value = given[key] ?? base?.[key];
    if (value === undefined) {
      throw new InputError(`${source}: model.${key} is missing`, { hint: 'set it, or a model.preset' });
    }
    return value;
  };
  const size = { width: need('width'), depth: need('depth') };
  const config: VitConfig = {
    imageSize: given.image_size,
    patchSize: need('patch_size'),
    channels: given.channels,
    classes: given.classes,
    ...size,
    heads: need('heads'),
    mlpRatio: given.mlp_ratio,
    qkvBias: given.qkv_bias ?? base?.qkv_bias ?? true,
    layerNormEps: given.layer_norm_eps ?? base?.layer_norm_eps ?? 1e-6,
    classToken: given.class_token,
    distilled: given.distilled,
    ...(given.no_embed_class && { noEmbedClass: true }),
    ...(given.registers > 0 && { registers: given.registers }),
    ...(given.norm !== 'layer' && { norm: given.norm }),
    ...(given.qk_norm && { qkNorm: true }),
    ...(given.layer_scale !== undefined && { layerScale: given.layer_scale }),
    ...(given.zero_init && { zeroInit: true }),
    ...poolOf(given),
    ...headOf(given.decoder, { ...size, patchSize: need('patch_size') }),
  };
  if (config.decoder) requireDecoder(config.decoder, config.depth, source);
  if (config.detector) requireDetector(config.detector, config, source);
  requireDivides('model.patch_size', config.patchSize, 'model.image_size', config.imageSize);
  requireDivides('model.heads', config.heads, 'model.width', config.width);
  requireHidden(config, source);
  return config;
}

/** The decoder that replaces the classification head. */
function headOf(
  section: VitSection['decoder'],
  model: { readonly width: number; readonly depth: number; readonly patchSize: number },
): Pick<VitConfig, 'decoder' | 'detector'> {
  if (section === undefined) return {};
  if (section.kind === 'mask-rcnn') return { detector: detectorConfigOf(section, model) };
  return { decoder: decoderConfigOf(section, model) };
}

/** By default, a model with a class token and mean pooling has its final norm after the pooling, as in MAE and timm. */
function poolOf({ pool, fc_norm: fcNorm, class_token: classToken }: VitSection) {
  const isAfter = fcNorm ?? (pool === 'mean' && classToken);
  return { ...(pool && { pool }), ...(isAfter && { fcNorm: true }) };
}

function requireHidden(config: VitConfig, source: string): void {
  const hidden = hiddenWidth(config);
  if (hidden >= 1 && Number.isSafeInteger(hidden)) return;
  throw new InputError(
    `${source}: model.mlp_ratio ${config.mlpRatio} gives an MLP of ${hidden} units for the width ${config.width}`,
    { hint: '4 is usual' },
  );
}

function requireDivides(smallKey: string, small: number, largeKey: string, large: number): void {
  if (large % small === 0) return;
  throw new InputError(`${smallKey} ${small} does not divide ${largeKey} ${large}`);
}

/** @throws InputError naming the keys that cannot be combined */
export function checkVitSection(model: VitSection, source: string): void {
  if (model.distilled && !model.class_token) {
    throw new InputError(`${source}: model.distilled needs model.class_token`);
  }
  if (model.pool === 'token' && !model.class_token) {
    throw new InputError(`${source}: model.pool: token needs model.class_token`);
  }
  if (model.registers > 0 && model.distilled) {
    throw new InputError(`${source}: model.registers and model.distilled cannot be combined`);
  }
  if (model.registers > 0 && !model.no_embed_class) {
    throw new InputError(`${source}: model.registers need model.no_embed_class: true`, {
      hint: 'registers have no place in the image, and no slot in the position embedding',
    });
  }
  const useless = (['distilled', 'pool', 'fc_norm'] as const).find((key) => model[key]);
  if (model.decoder && useless !== undefined) {
    throw new InputError(`${source}: model.${useless} and model.decoder cannot be combined`, {
      hint: `remove model.${useless}: a decoder reads the patch tokens of several blocks`,
    });
  }
  if (model.decoder?.kind === 'mask-rcnn' && model.registers > 0) {
    throw new InputError(`${source}: model.registers: mask-rcnn reads a model without registers`, {
      hint: 'remove model.registers; those of start.model are left out',
    });
  }
  if (model.decoder?.kind === 'mask-rcnn' && model.class_token) {
    throw new InputError(`${source}: model.class_token: true: mask-rcnn reads a model without class token`, {
      hint: 'set model.class_token: false, the default for task: detection; the class token of start.model is left out',
    });
  }
  if (model.pool === 'mean' && model.distilled) {
    throw new InputError(`${source}: model.pool: mean: a distilled model classifies by its tokens`);
  }
}
