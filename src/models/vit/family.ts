import { InputError } from '../../base/errors.js';
import { tapsOf } from '../dense/decoder-config.js';
import type { AssumedSection, Assumption, ModelFamily } from '../family.js';
import type { StatedModel } from '../layout.js';
import type { VitConfig } from './config.js';
import { fitStages, fitStem, newHead } from './fit-weights.js';
import { joinQkv } from './layout-huggingface.js';
import { vitLayouts } from './layouts.js';
import { vitGraph } from './onnx-graph.js';
import { checkVitSection, VIT_PRESETS, type VitSection, vitConfigOf, vitSection } from './section.js';
import { vit } from './vit.js';
import { type BackboneGeometry, inferBackbone, inferGeometry, vitEndOf } from './weights-geometry.js';

/** Vision transformers: ViT and DeiT. */
export const vitFamily: ModelFamily<VitSection, VitConfig, BackboneGeometry> = {
  name: 'vit',
  title: 'vision transformer',
  section: vitSection,
  check: checkVitSection,
  configOf: vitConfigOf,
  blueprint: vit,
  identity: ({ depth: _, zeroInit: __, layerScale, ...rest }) => ({
    ...rest,
    ...(layerScale !== undefined && { layerScale: true }),
  }),
  describe: ({ imageSize, patchSize, channels, classes, width, heads, layerNormEps }) => ({
    image_size: imageSize,
    patch_size: patchSize,
    channels,
    classes,
    width,
    heads,
    layer_norm_eps: layerNormEps,
  }),
  statedBy: ({ heads, layerNormEps, pool }) => ({ heads, layerNormEps, ...(pool && { pool }) }),
  layouts: vitLayouts,
  anchor: /^(.*?)(?:stages\.\d+\.)?(?:patch_embed\.proj|embeddings\.patch_embeddings\.projection)\.weight$/,
  endOf: vitEndOf,
  joined: joinQkv,
  onnxGraph: vitGraph,
  card: { kind: 'a Vision Transformer', tags: ['vit'] },
  recognises: (names) => [...names].some((name) => name.startsWith('patch_embed.')),
  factsOf: inferBackbone,
  compare: (facts, config, { keepsHead }) => [
    ['width', facts.width, config.width],
    // The patch embedding is resized for a decoder, as ViTDet does.
    ...(tapsOf(config) ? [] : [['patch size', facts.patchSize, config.patchSize] as const]),
    ['channels', facts.channels, config.channels],
    // A detector leaves class token and registers out.
    ...(config.detector
      ? []
      : ([
          [
            'class token without a slot in the position embedding',
            facts.noEmbedClass ?? false,
            config.noEmbedClass ?? false,
          ],
          ['registers', facts.registers ?? 0, config.registers ?? 0],
        ] as const)),
    // A detector adds LayerScale to weights without it.
    ...(config.detector && config.layerScale !== undefined
      ? []
      : [['LayerScale', facts.hasLayerScale ?? false, config.layerScale !== undefined] as const]),
    ['norm', facts.norm ?? 'layer', config.norm ?? 'layer'],
    ['norms of queries and keys', facts.qkNorm ?? false, config.qkNorm ?? false],
    ['heads', facts.heads ?? config.heads, config.heads],
    ...(keepsHead
      ? ([
          ['decoder', facts.neck ?? 'none', neckOf(config)],
          ['norm after pooling', facts.fcNorm ?? false, config.fcNorm ?? false],
        ] as const)
      : []),
  ],
  sectionOfStages: (section, { depths }) => ({ ...section, depth: sumOf(depths) }),
  assumedSection,
  statedIn,
  statedKeys: (section, config, stated) => [
    key('layer_norm_eps', stated.layerNormEps, config.layerNormEps),
    // A decoder does not pool.
    ...(tapsOf(config)
      ? []
      : [key('pool', stated.pool, section.pool), key('fc_norm', stated.fcNorm, config.fcNorm ?? false)]),
    // The recipe or its preset always states it.
    { ...key('heads', stated.heads, config.heads), isFilled: false },
  ],
  requireKnown(section, { width, neck }, source) {
    if (neck !== undefined && section.decoder === undefined) {
      throw new InputError(
        `${source}: the weights have a decoder, but nothing states which blocks it reads`,
        {
          hint: 'use the checkpoint of a run, with its manifest.json, or --recipe R',
        },
      );
    }
    if (section.heads !== undefined || section.preset !== undefined) return;
    throw new InputError(
      `${source}: the number of attention heads is unknown: the weights (width ${width}) do not contain it`,
      { hint: 'use --recipe R, or --set model.heads=N' },
    );
  },
  fit: fitStages,
  resize(stages, imageSize, source) {
    const { patchSize } = inferGeometry(stages, source);
    if (imageSize % patchSize !== 0) {
      throw new InputError(
        `--resize ${imageSize}: not a multiple of the patch size of ${source}, ${patchSize} pixels`,
        {
          hint: `such as ${Math.max(Math.round(imageSize / patchSize), 1) * patchSize}`,
        },
      );
    }
    const [stem, ...others] = stages;
    return [fitStem(stem, { imageSize, patchSize }, source), ...others] as unknown as typeof stages;
  },
  newHead,
};

function neckOf({ decoder, detector }: VitConfig): string {
  return detector ? 'mask-rcnn' : (decoder?.neck ?? 'none');
}

function key(name: string, value: unknown, used: unknown) {
  return { key: name, value, used, isFilled: true };
}

function sumOf(depths: readonly number[]): number {
  return depths.reduce((a, b) => a + b, 0);
}

function assumedSection(
  facts: BackboneGeometry,
  stated: StatedModel,
  leftOut: readonly string[],
): AssumedSection {
  const { imageSize, patchSize, channels, classes, width, mlpRatio, qkvBias, classToken } = facts;
  const [name, preset] = Object.entries(VIT_PRESETS).find(([, each]) => each.width === width) ?? [];
  const shown = facts.heads ?? stated.heads;
  const heads = shown ?? preset?.heads;
  // If its qkv bias differs from the published model's, the model need not have that model's unusual epsilon.
  const eps = stated.layerNormEps ?? (preset?.qkv_bias === qkvBias ? preset.layer_norm_eps : 1e-6);
  const assumed: Assumption[] = [];
  if (shown === undefined && heads !== undefined) {
    assumed.push({ key: 'model.heads', text: `${heads} heads (${name} has the same width)` });
  }
  if (stated.layerNormEps === undefined) {
    assumed.push({ key: 'model.layer_norm_eps', text: `LayerNorm epsilon ${eps.toExponential()}` });
  }
  const { pool, fcNorm } = stated;
  return {
    section: {
      image_size: imageSize,
      patch_size: patchSize,
      channels,
      classes,
      width,
      mlp_ratio: mlpRatio,
      qkv_bias: qkvBias,
      class_token: classToken,
      distilled: facts.distilled ?? false,
      layer_norm_eps: eps,
      ...(heads && { heads }),
      ...(facts.noEmbedClass && { no_embed_class: true }),
      ...(facts.registers && { registers: facts.registers }),
      ...(facts.norm && { norm: facts.norm }),
      ...(facts.qkNorm && { qk_norm: true }),
      // The value does not matter: the weights have their own.
      ...(facts.hasLayerScale && { layer_scale: 1e-5 }),
      ...(pool && { pool, fc_norm: fcNorm ?? false }),
    },
    assumed: [...assumed, ...assumedOfLeftOut(leftOut)],
  };
}

/** Assumptions for files whose extra tensors suggest that the original model computes something different. */
function assumedOfLeftOut(leftOut: readonly string[]): Assumption[] {
  const has = (pattern: RegExp) => leftOut.some((name) => pattern.test(name));
  const assumed: Assumption[] = [];
  if (has(/(^|\.)pre_logits\./)) {
    assumed.push({ key: 'head', text: 'the head uses the features without pre_logits, as in timm' });
  }
  if (has(/(^|\.)fc_norm\./)) {
    assumed.push({ key: 'model.pool', text: 'the head uses norm of the class token (fc_norm is ignored)' });
  }
  return assumed;
}

function statedIn(section: Readonly<Record<string, unknown>>): StatedModel {
  const preset = Object.entries(VIT_PRESETS).find(([name]) => name === section.preset)?.[1];
  const { heads = preset?.heads, layer_norm_eps: eps = preset?.layer_norm_eps, pool } = section;
  const { fc_norm: fcNorm = pool === 'mean' && section.class_token === true } = section;
  return {
    heads: typeof heads === 'number' ? heads : undefined,
    layerNormEps: typeof eps === 'number' ? eps : undefined,
    pool: pool === 'token' || pool === 'mean' ? pool : undefined,
    fcNorm: pool === 'mean' ? fcNorm === true : undefined,
  };
}
