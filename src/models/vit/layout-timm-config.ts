import type { Geometry } from './weights-geometry.js';

/** Known facts about a model that cannot be inferred from its weights. */
export interface TimmFacts {
  readonly heads?: number | undefined;
  /** Pooling, if the weights do not show it. */
  readonly pool?: 'token' | 'mean' | undefined;
  readonly classNames: readonly string[];
  /** Normalisation and crop of its pixels, if they are known. */
  readonly pixels?:
    | { readonly mean: readonly number[]; readonly std: readonly number[]; readonly cropShare: number }
    | undefined;
  /** Name of the weights file, in the config's folder. */
  readonly weightsFile: string;
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
  }: Geometry,
  { heads, pool, classNames, pixels, weightsFile }: TimmFacts,
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
      num_heads: heads,
      mlp_ratio: mlpRatio,
      qkv_bias: qkvBias,
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
