import { stringify } from 'yaml';
import { quoted } from '../base/shell.js';
import { evalShorterSide, SMALL_IMAGE } from '../data/transforms/transform.js';
import type { ModelConfig, ModelFamily } from '../models/family.js';
import type { ForeignLayout } from '../models/layout.js';
import { type Metric, type Scored, scoreOf } from '../run/metric.js';
import type { PhaseResult } from '../run/records.js';
import { metricsOf } from '../tasks/metrics.js';
import { type TaskName, taskKind } from '../tasks/tasks.js';
import { duration, EVAL_LOSS, significant, TRAIN_TIME, withPrefix } from './format.js';
import { accuracyText } from './summary-text.js';
import { accuracyInterval, type Interval, intervalField } from './uncertainty.js';
import { wayOf } from './way.js';

export interface ModelCard extends Usage {
  readonly family: Pick<ModelFamily, 'card'>;
  readonly recipe: CardRecipe;
  readonly seed: number;
  readonly phase: string;
  readonly step: number;
  /** Evaluation of the published weights; absent if they were changed after the evaluation. */
  readonly scores?: Scores | undefined;
  /** In the order of the logits; absent if unknown. */
  readonly classNames?: readonly string[] | undefined;
  readonly parameters: number;
  readonly depths: readonly number[];
  /** Results of the finished phases, for the training cost. */
  readonly results: readonly PhaseResult[];
}

/** Contains the task's metrics by name. */
interface Scores extends Scored {
  readonly loss: number;
  /** Number of evaluation images. */
  readonly images?: number | undefined;
}

/** The fields of a recipe that the card shows. */
interface CardRecipe {
  readonly name: string;
  readonly task?: TaskName | undefined;
  readonly data: {
    readonly format: string;
    readonly fraction?: number | undefined;
    readonly split?: { readonly val: number } | undefined;
  };
  /** Decides, with `start`, which method the card describes (see `wayOf`). */
  readonly incubation?: unknown;
  readonly start?: unknown;
}

/** Hub ids and names of data sets, by `data.format`. */
const DATASETS: Readonly<Record<string, { readonly id: string; readonly name: string }>> = {
  'fashion-mnist': { id: 'zalando-datasets/fashion_mnist', name: 'Fashion-MNIST' },
  'cifar-10': { id: 'uoft-cs/cifar10', name: 'CIFAR-10' },
  'cifar-100': { id: 'uoft-cs/cifar100', name: 'CIFAR-100' },
};

/**
 * A model card for the Hugging Face hub: metadata as YAML, then a description. It states only what the run measured; the
 * publisher chooses the licence.
 */
export function modelCard(card: ModelCard): string {
  return `---\n${stringify(metadataOf(card))}---\n\n${bodyOf(card)}`;
}

function metadataOf({ recipe, family, layout, scores, config }: ModelCard): object {
  const isIncubated = wayOf(recipe) === 'incubation';
  const { shown } = metricsOf({ classes: config.classes, task: recipe.task });
  const { pipeline, title, loss, metric: hubMetric } = taskKind(recipe.task).card;
  const dataset = DATASETS[recipe.data.format];
  const about = { name: dataset?.name ?? recipe.data.format, type: dataset?.id ?? recipe.data.format };
  const hubType = ({ isShareOfImages, name }: Metric) => (isShareOfImages ? 'accuracy' : name);
  const metric = (type: string, name: string, value: number) => ({ type, name, value: rounded(value) });
  return {
    library_name: layout?.library ?? 'deep-incubation',
    pipeline_tag: pipeline,
    tags: [
      pipeline,
      'vision',
      ...family.card.tags,
      ...(isIncubated ? ['deep-incubation', 'arxiv:2212.04129'] : []),
    ],
    ...(dataset && { datasets: [dataset.id] }),
    ...(hubMetric && { metrics: [hubMetric] }),
    ...(scores && {
      'model-index': [
        {
          name: recipe.name,
          results: [
            {
              task: { type: pipeline, name: title },
              dataset: { ...about, split: recipe.data.split ? 'train (held out)' : 'validation' },
              metrics: [
                ...shown.map((each) =>
                  metric(hubType(each), `${each.title}, ${each.unit}`, scoreOf(scores, each)),
                ),
                metric('loss', `Evaluation loss (${loss})`, scores.loss),
              ],
            },
          ],
        },
      ],
    }),
  };
}

/** A longer list of class names would take up too much of the card. */
const NAMED = 20;

const LAYOUTS: Readonly<Record<string, string>> = {
  folder: 'images in a folder for each class',
  csv: 'images listed in a CSV file',
};

const KINDS: Readonly<Record<string, string>> = {
  PT: 'the meta model of a run of Deep Incubation',
  FT: 'trained with Deep Incubation: its modules were trained apart, each in a meta model, then assembled and fine-tuned',
  E2E: 'trained end to end from scratch, as the baseline of a run of Deep Incubation',
};

function bodyOf(card: ModelCard): string {
  const { recipe, phase, step, seed, depths, results, config } = card;
  const { data } = recipe;
  const dataset = DATASETS[data.format]?.name ?? LAYOUTS[data.format] ?? data.format;
  const share =
    data.fraction !== undefined && data.fraction < 1 ? `${significant(100 * data.fraction)} % of ` : '';
  const blocks =
    depths.length > 1 ? `${depths.reduce((a, b) => a + b, 0)} (${depths.join(' + ')})` : `${depths[0]}`;
  const rows = [
    ['parameters', withPrefix(card.parameters)],
    ['blocks', blocks],
    ['images', `${config.imageSize} x ${config.imageSize}, ${config.channels} channels`],
    ['pixels', pixelsOf(card)],
    ['classes', classesOf(config.classes, card.classNames)],
    ['trained on', `${share}${dataset}`],
    ['checkpoint', `${phase}, step ${step}, seed ${seed}`],
    ...scoreRows(card),
  ];
  const parts = results.filter((result) => isPartOf(phase, result.phase));
  const sum = (key: 'macs' | 'seconds' | 'block_passes') =>
    parts.reduce((total, part) => total + part[key], 0);
  const cost = `Training (${parts.map((part) => part.phase).join(', ')}) took ${withPrefix(sum('block_passes'))} block-passes, ${withPrefix(sum('macs'))} multiply-accumulates and ${duration(sum('seconds'))} of training steps (${TRAIN_TIME}: evaluation and start-up left out).\n\n`;
  return `# ${plain(recipe.name)}

${capital(card.family.card.kind)} for ${taskKind(recipe.task).card.purpose}, ${kindOf(card)}.

${table(rows)}
${parts.length > 0 ? cost : ''}## Use

${usageOf({ ...card, images: taskKind(recipe.task).annotations?.format })}

## Limits

${card.scores ? `The scores were measured on the ${card.scores.images === undefined ? '' : `${card.scores.images.toLocaleString('en-US')} `}validation images of the run` : 'These weights were not evaluated as they are'}; how they do on other images is not known.
`;
}

const PAPER = '([arXiv 2212.04129](https://arxiv.org/abs/2212.04129))';

/** What was trained, and how. A run without incubation is not called Deep Incubation. */
function kindOf({ recipe, phase }: ModelCard): string {
  const way = wayOf(recipe);
  if (way === 'incubation') {
    const kind =
      KINDS[phase] ??
      'a hybrid of Deep Incubation: a meta model with one stage replaced by a module in training';
    return `${kind} ${PAPER}`;
  }
  if (way === 'growth') {
    if (phase === 'PT') return 'the shallow model that a deeper one was grown from';
    if (phase === 'FT') return 'grown from a shallow model that was trained first, and trained as a whole';
    return 'trained end to end from scratch, as the baseline of a run that grows a model from a shallow one';
  }
  if (phase === 'FT') return 'fine-tuned from a given model';
  return way === 'fine_tuning'
    ? 'trained end to end from scratch, as the baseline of a run that fine-tunes a given model'
    : 'trained end to end from scratch';
}

/** Table rows of the last evaluation. */
function scoreRows({ recipe, scores, config }: ModelCard): string[][] {
  if (scores === undefined) return [];
  const { loss, images } = scores;
  const { primary, shown } = metricsOf({ classes: config.classes, task: recipe.task });
  const interval =
    images === undefined || !primary.isShareOfImages
      ? undefined
      : intervalOf(scoreOf(scores, primary), images);
  const known = { ...scores, ...intervalField(primary, interval) };
  return [...shown.map((each) => [each.label, accuracyText(known, each)]), [EVAL_LOSS, loss.toFixed(4)]];
}

function intervalOf(accuracy: number, images: number): Interval {
  return accuracyInterval({ images, right: Math.round((accuracy / 100) * images) });
}

/** The number of classes, with their names if there are few. */
function classesOf(count: number, names: readonly string[] | undefined): string {
  if (names === undefined || count > NAMED) return String(count);
  return `${count}, in this order: ${names.join(', ')}`;
}

/** Whether training the model of phase `whole` includes phase `part`. */
function isPartOf(whole: string, part: string): boolean {
  if (whole === 'FT') return part !== 'E2E';
  return part === whole || (part === 'PT' && whole.startsWith('MT/'));
}

function table(rows: readonly (readonly string[])[]): string {
  return ['| | |', '|---|---|', ...rows.map(([key, value]) => `| ${key} | ${plain(value)} |`), ''].join('\n');
}

/** Escapes text for Markdown and HTML. */
function plain(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/[\\`*_[\]|#]/g, '\\$&')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;');
}

function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

function rounded(value: number): number {
  return Math.round(1e4 * value) / 1e4;
}

interface Usage {
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
  /** The images to evaluate, in the example of the command line. Default: `images/val`. */
  readonly images?: string | undefined;
}

/** Usage as a code block: load the model, then preprocess an image as in evaluation. */
export function usageOf(usage: Usage): string {
  const { layout, config, file = 'model.safetensors', images = 'images/val' } = usage;
  const python = layout?.usage?.(config, file);
  if (python === undefined) {
    return block('sh', [`npx deep-incubation eval ${quoted(file)} --data ${images}`]);
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
function pixelsOf({ recipe, config, mean, std, evalCrop }: ModelCard): string {
  const { imageSize, channels } = config;
  const shorter = evalShorterSide(imageSize, evalCrop);
  // Images with annotations are not cropped.
  const isCropped = imageSize > SMALL_IMAGE && taskKind(recipe.task).annotations === undefined;
  const sized = isCropped ? [`shorter side to ${shorter} (bicubic), centre ${imageSize}`] : [];
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
