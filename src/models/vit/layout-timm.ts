import type { ConfigFacts } from '../layout.js';
import type { Geometry } from './weights-geometry.js';

/**
 * Tensors from pre-training that a classifier does not use: the mask token and decoder of masked image modelling (MAE, BEiT,
 * SimMIM), heads of self-supervision (DINO, iBOT, MoCo, BYOL), the representation layer and pooler of older models, counters
 * of averages, and weights of losses.
 */
const EXTRA = [
  /^(?:embeddings\.)?mask_token$/,
  /^(?:\w+_)?decoder(?:[._]|$)/,
  /^(?:pre_logits|pooler|lm_head|mim_head)\./,
  /^(?:proj|projection|projector|predictor|prediction)(?:_(?:head|layer|mlp))?s?\./,
  /^(?:dino|ibot|contrast\w*|simclr|byol|moco|ssl|cls_pred)_?(?:head|loss|proj\w*)\./,
  /^(?:prototypes?|queue|queue_ptr|center)(?:\.|$)/,
  /^head\.(?:mlp|last_layer|projection_head|prototypes)\./,
  /^(?:n_averaged|initted|step|num_updates|decay)$/,
  /^(?:criterion|loss|loss_fn|loss_func)\./,
];

/** Tensors that are unused if another one is missing: a second head without its distillation token. */
const UNUSED = [
  { without: /(?:^|\.)dist(?:illation)?_token(?:s)?$/, pattern: /^(?:head_dist|distillation_classifier)\./ },
];

const BASE = /^(?:stages\.\d+|vit|deit)\./;

interface Sorted<T> {
  readonly kept: ReadonlyMap<string, T>;
  /** Names of the tensors that the model does not use. */
  readonly leftOut: readonly string[];
}

/** Separates a model's tensors from those left over from pre-training. Unknown tensors are kept. */
export function withoutExtraTensors<T>(state: ReadonlyMap<string, T>): Sorted<T> {
  const names = [...state.keys()];
  const patterns = [
    ...EXTRA,
    ...UNUSED.filter(({ without }) => !names.some((name) => without.test(name))).map(
      ({ pattern }) => pattern,
    ),
    // A mean-pooled model has fc_norm instead of norm. If it has both, norm is the final one.
    ...(names.some((name) => /^(?:stages\.\d+\.)?norm\.weight$/.test(name)) ? [/^fc_norm\./] : []),
  ];
  const isExtra = (name: string) => patterns.some((pattern) => pattern.test(name.replace(BASE, '')));
  return {
    kept: new Map([...state].filter(([name]) => !isExtra(name))),
    leftOut: names.filter(isExtra),
  };
}

/** Names of a linear classifier in programs that keep it separate from the backbone. */
const HEADS = [
  'classifier',
  'fc',
  'linear',
  'cls_head',
  'classification_head',
  'mlp_head',
  'head.fc',
  'heads.head',
];

/**
 * Renames the classifier of a model without `head.weight` to `head`, if exactly one linear layer has one of the usual
 * names.
 */
export function withHead<T extends { readonly shape: readonly number[] }>(
  state: ReadonlyMap<string, T>,
): ReadonlyMap<string, T> {
  if (state.has('head.weight')) return state;
  const found = HEADS.filter((name) => state.get(`${name}.weight`)?.shape.length === 2);
  if (found.length !== 1) return state;
  const [head] = found;
  return new Map(
    [...state].map(([name, tensor]) => {
      const part = name.startsWith(`${head}.`) ? name.slice(head.length + 1) : '';
      return [['weight', 'bias'].includes(part) ? `head.${part}` : name, tensor];
    }),
  );
}

/**
 * The `config.json` from which timm builds this model in its folder (`timm.create_model('local-dir:FOLDER')`, or
 * `hf-hub:`). Its `label_names` are the classes by label. timm ignores `weights_file`.
 */
export function timmConfig(
  {
    width,
    depths,
    classes,
    imageSize,
    patchSize,
    channels,
    mlpRatio,
    qkvBias,
    classToken,
    distilled,
    fcNorm,
    noEmbedClass,
    hasLayerScale,
    registers,
    norm,
    qkNorm,
    heads: shownHeads,
  }: Geometry,
  { heads, pool, classNames, pixels, weightsFile }: ConfigFacts,
): Record<string, unknown> {
  const isMean = !classToken || fcNorm === true || pool === 'mean';
  return {
    architecture: distilled ? 'deit_base_distilled_patch16_224' : 'vit_base_patch16_224',
    num_classes: classes,
    num_features: width,
    global_pool: isMean ? 'avg' : 'token',
    label_names: classNames,
    weights_file: weightsFile,
    model_args: {
      img_size: imageSize,
      patch_size: patchSize,
      in_chans: channels,
      embed_dim: width,
      depth: depths.reduce((sum, depth) => sum + depth, 0),
      num_heads: heads ?? shownHeads,
      mlp_ratio: mlpRatio,
      qkv_bias: qkvBias,
      ...(noEmbedClass && { no_embed_class: true }),
      ...(hasLayerScale && { init_values: 1e-5 }),
      ...(registers && { reg_tokens: registers }),
      ...(norm === 'rms' && { norm_layer: 'rmsnorm' }),
      ...(qkNorm && { qk_norm: true }),
      ...(isMean && { class_token: classToken, global_pool: 'avg', fc_norm: fcNorm ?? false }),
    },
    pretrained_cfg: {
      num_classes: classes,
      input_size: [channels, imageSize, imageSize],
      fixed_input_size: true,
      first_conv: 'patch_embed.proj',
      classifier: distilled ? ['head', 'head_dist'] : 'head',
      interpolation: 'bicubic',
      crop_mode: 'center',
      crop_pct: pixels?.cropShare,
      mean: pixels?.mean,
      std: pixels?.std,
    },
  };
}
