import { quoted } from '../base/shell.js';
import { evalShorterSide, SMALL_IMAGE } from '../data/transforms/transform.js';
import type { ModelConfig } from '../models/family.js';
import type { ForeignLayout } from '../models/layout.js';

export interface Usage {
  /** Undefined for this program's own. */
  readonly layout: ForeignLayout | undefined;
  /** Config of the model whose weights are published. */
  readonly config: ModelConfig;
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
  const { layout, config, file = 'model.safetensors' } = usage;
  const python = layout?.usage?.(config, file);
  if (python === undefined) {
    return block('sh', [`npx deep-incubation eval ${quoted(file)} --data images/val`]);
  }
  return block('python', [
    'import torch',
    'from PIL import Image',
    'from torchvision import transforms',
    ...python.lines,
    '',
    `image = Image.open('picture.jpg').convert('${config.channels === 1 ? 'L' : 'RGB'}')`,
    'pixels = transforms.Compose([',
    ...pixelSteps(usage).map((step) => `    transforms.${step},`),
    '])(image)[None]',
    'with torch.no_grad():',
    `    logits = model(pixels)${python.logits}`,
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
