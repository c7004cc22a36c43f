import type { PythonUse } from '../layout.js';
import { isMeanPooled, type VitConfig } from './vit.js';

/** Loads the model with transformers. */
export function huggingFaceUse(): PythonUse {
  return {
    lines: [
      'from transformers import ViTForImageClassification',
      '',
      "model = ViTForImageClassification.from_pretrained('.').eval()  # this folder, or its name on the hub",
    ],
    logits: '.logits',
  };
}

/** Builds the model with timm's classes and loads a file of weights. */
export function timmUse(config: VitConfig, file: string): PythonUse {
  const { imageSize, patchSize, channels, classes, width, depth, heads, mlpRatio, qkvBias } = config;
  const name = config.distilled ? 'VisionTransformerDistilled' : 'VisionTransformer';
  const python = (value: boolean) => (value ? 'True' : 'False');
  const lines = [
    'from functools import partial',
    'from safetensors.torch import load_file',
    config.distilled
      ? `from timm.models.deit import ${name}`
      : `from timm.models.vision_transformer import ${name}`,
    '',
    `model = ${name}(`,
    `    img_size=${imageSize}, patch_size=${patchSize}, in_chans=${channels}, num_classes=${classes},`,
    `    embed_dim=${width}, depth=${depth}, num_heads=${heads}, mlp_ratio=${mlpRatio}, qkv_bias=${python(qkvBias)},`,
    ...(isMeanPooled(config)
      ? [
          `    class_token=${python(config.classToken)}, global_pool='avg', fc_norm=${python(config.fcNorm ?? false)},`,
        ]
      : []),
    `    norm_layer=partial(torch.nn.LayerNorm, eps=${config.layerNormEps}),`,
    ').eval()',
    `model.load_state_dict(load_file(${JSON.stringify(file)}))`,
  ];
  return { lines, logits: '' };
}
