import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import { readSmallText } from '../../files/small-file.js';
import { processorHints, processorSchema } from '../../weights/layout/layout-processor.js';
import type { ModelHints } from '../layout.js';
import type { Geometry } from './weights-geometry.js';

const count = z.int().positive();
const side = z.union([count, z.tuple([count, count]).transform(([height]) => height)]);
const channels = z.array(z.number());

const huggingFace = z.object({
  num_attention_heads: count.optional(),
  layer_norm_eps: z.number().positive().optional(),
  image_size: side.optional(),
  id2label: z.record(z.string(), z.unknown()).optional(),
  num_labels: count.optional(),
  hidden_act: z.string().optional(),
});

const timmImages = z.object({
  mean: channels.optional(),
  std: channels.optional(),
  input_size: channels.optional(),
  crop_pct: z.number().positive().max(1).nullish(),
  crop_mode: z.string().nullish(),
  interpolation: z.string().nullish(),
});

/** Older versions have no `pretrained_cfg`; its keys are in `config.json` itself. */
const timm = timmImages.extend({
  num_classes: count.optional(),
  global_pool: z.string().nullish(),
  model_args: z
    .object({ num_heads: count.optional(), img_size: side.optional(), global_pool: z.string().nullish() })
    .optional(),
  pretrained_cfg: timmImages.optional(),
});

/** timm's names of the supported poolings. */
const POOLS: Readonly<Record<string, 'token' | 'mean'>> = { token: 'token', avg: 'mean' };

/** Names of the exact GELU, the only supported activation. */
const GELU = new Set(['gelu', 'gelu_python']);

/**
 * Hints from `config.json` and `preprocessor_config.json` in a folder of Hugging Face weights; empty if both are missing.
 * Throws `InputError` if a file is damaged, or describes an unsupported model.
 */
export function huggingFaceHints(folder: string): ModelHints {
  const path = join(folder, 'config.json');
  const config = readConfig(path, huggingFace);
  const images = readConfig(join(folder, 'preprocessor_config.json'), processorSchema);
  if (config?.hidden_act !== undefined && !GELU.has(config.hidden_act)) {
    throw new InputError(`${path}: the activation ${config.hidden_act} is not supported, only gelu`);
  }
  return defined({
    heads: config?.num_attention_heads,
    layerNormEps: config?.layer_norm_eps,
    imageSize: config?.image_size,
    classes: config?.id2label ? Object.keys(config.id2label).length : config?.num_labels,
    ...(images && processorHints(images)),
  });
}

/**
 * Hints from timm's `config.json`, next to weights in timm's layout.
 * Throws `InputError` if it is damaged, or describes an unsupported model.
 */
export function timmHints(folder: string): ModelHints {
  const path = join(folder, 'config.json');
  const config = readConfig(path, timm);
  const { mean, std, input_size, crop_pct, crop_mode, interpolation } =
    config?.pretrained_cfg ?? config ?? {};
  const other = [
    ...((interpolation ?? 'bicubic') === 'bicubic' ? [] : [`interpolation ${interpolation}`]),
    ...((crop_mode ?? 'center') === 'center' ? [] : [`crop_mode ${crop_mode}`]),
  ];
  const pool = config?.model_args?.global_pool ?? config?.global_pool ?? '';
  if (pool !== '' && !Object.hasOwn(POOLS, pool)) {
    throw new InputError(`${path}: global_pool ${pool} is not supported, only token and avg`);
  }
  return defined({
    heads: config?.model_args?.num_heads,
    imageSize: config?.model_args?.img_size ?? input_size?.[1],
    classes: config?.num_classes,
    // `token` is the default, and a model without a class token cannot use it.
    pool: POOLS[pool] === 'mean' ? 'mean' : undefined,
    mean,
    std,
    evalCrop: crop_pct ?? undefined,
    otherResize: other.length === 0 ? undefined : `config.json says ${other.join(', ')}`,
  });
}

/** Facts for the config that are not part of the geometry. */
interface HuggingFaceFacts {
  readonly heads: number;
  readonly layerNormEps: number;
  readonly hasTwoHeads: boolean;
  /** Default: `LABEL_0` and so on. */
  readonly classNames?: readonly string[] | undefined;
}

/** The `config.json` from which transformers builds this model. */
export function huggingFaceConfig(
  { width, depths, classes, imageSize, patchSize, channels, mlpRatio, qkvBias, distilled }: Geometry,
  { heads, layerNormEps, hasTwoHeads, classNames }: HuggingFaceFacts,
): Record<string, unknown> {
  const labels = Array.from({ length: classes }, (_, i) => classNames?.[i] ?? `LABEL_${i}`);
  const teacher = hasTwoHeads ? 'WithTeacher' : '';
  return {
    architectures: [`${distilled ? 'DeiT' : 'ViT'}ForImageClassification${teacher}`],
    model_type: distilled ? 'deit' : 'vit',
    hidden_size: width,
    num_hidden_layers: depths.reduce((sum, depth) => sum + depth, 0),
    num_attention_heads: heads,
    intermediate_size: Math.round(mlpRatio * width),
    hidden_act: 'gelu',
    hidden_dropout_prob: 0,
    attention_probs_dropout_prob: 0,
    layer_norm_eps: layerNormEps,
    image_size: imageSize,
    patch_size: patchSize,
    num_channels: channels,
    qkv_bias: qkvBias,
    id2label: Object.fromEntries(labels.map((label, i) => [String(i), label])),
    label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  };
}

function readConfig<T>(path: string, schema: z.ZodType<T>): T | undefined {
  if (!existsSync(path)) return undefined;
  let json: unknown;
  const text = readSmallText(path);
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path}: invalid JSON`, { cause, hint: 'Download or write the file again.' });
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const { path: key, message } = result.error.issues[0];
  throw new InputError(`${path}: ${key.join('.') || 'it'}: ${message}`, { hint: 'Correct the file.' });
}

/** Removes undefined values. */
function defined(hints: { readonly [K in keyof ModelHints]: ModelHints[K] | undefined }): ModelHints {
  return Object.fromEntries(Object.entries(hints).filter(([, value]) => value !== undefined));
}
