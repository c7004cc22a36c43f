import { quoted } from '../base/shell.js';
import { evalShorterSide, SMALL_IMAGE } from '../data/transforms/transform.js';
import type { Layout } from '../models/family.js';
import { isMeanPooled, type VitConfig } from '../models/vit/vit.js';

export interface Usage {
  readonly layout: Layout;
  /** Config of the model whose weights are published. */
  readonly config: VitConfig;
  /** Mean of each channel, for pixels from 0 to 1; `std` likewise. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** Share of the resized shorter side that the evaluation crop keeps; default: the official value. */
  readonly evalCrop?: number | undefined;
  /** The weights file; absent for a model folder. */
  readonly file?: string | undefined;
}

/** Usage as a code block: load the model, then preprocess an image as in evaluation. */
export function usageOf(usage: Usage): string {
  const { layout, file = 'model.safetensors' } = usage;
  if (layout !== 'huggingface' && layout !== 'timm') {
    return block('sh', [`npx deep-incubation eval ${quoted(file)} --data images/val`]);
  }
  const isHub = layout === 'huggingface';
  return block('python', [
    'import torch',
    'from PIL import Image',
    'from torchvision import transforms',
    ...(isHub ? HUB : loadedInTimm(usage.config, file)),
    '',
    `image = Image.open('picture.jpg').convert('${usage.config.channels === 1 ? 'L' : 'RGB'}')`,
    'pixels = transforms.Compose([',
    ...pixelSteps(usage).map((step) => `    transforms.${step},`),
    '])(image)[None]',
    'with torch.no_grad():',
    `    logits = model(pixels)${isHub ? '.logits' : ''}`,
    'print(logits.softmax(-1).topk(1))',
  ]);
}

/** Describes the preprocessing of an image. */
export function pixelsOf({ config, mean, std, evalCrop }: Omit<Usage, 'layout'>): string {
  const { imageSize, channels } = config;
  const shorter = evalShorterSide(imageSize, evalCrop);
  const sized = imageSize <= SMALL_IMAGE ? [] : [`shorter side to ${shorter} (bicubic), centre ${imageSize}`];
  const kind = channels === 1 ? 'grey' : 'RGB';
  return [...sized, `(${kind} / 255 - ${JSON.stringify(mean)}) / ${JSON.stringify(std)}`].join('; ');
}

const HUB = [
  'from transformers import ViTForImageClassification',
  '',
  "model = ViTForImageClassification.from_pretrained('.').eval()  # this folder, or its name on the hub",
];

function loadedInTimm(config: VitConfig, file: string): string[] {
  const { imageSize, patchSize, channels, classes, width, depth, heads, mlpRatio, qkvBias } = config;
  const name = config.distilled ? 'VisionTransformerDistilled' : 'VisionTransformer';
  const python = (value: boolean) => (value ? 'True' : 'False');
  return [
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
}

function pixelSteps({ config: { imageSize }, mean, std, evalCrop }: Usage): string[] {
  const shorter = evalShorterSide(imageSize, evalCrop);
  const sized =
    imageSize <= SMALL_IMAGE
      ? []
      : [`Resize(${shorter}, transforms.InterpolationMode.BICUBIC)`, `CenterCrop(${imageSize})`];
  return [...sized, 'ToTensor()', `Normalize(${JSON.stringify(mean)}, ${JSON.stringify(std)})`];
}

function block(language: string, lines: readonly string[]): string {
  return [`\`\`\`${language}`, ...lines, '```'].join('\n');
}
