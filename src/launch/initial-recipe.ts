import { basename, resolve } from 'node:path';
import { parse } from 'yaml';
import { DeepIncubationError } from '../base/errors.js';
import { checkImage } from '../data/check/data-check-read.js';
import { type Dataset, isEncoded } from '../data/dataset.js';
import { csvSplits } from '../data/formats/csv.js';
import { folderLayout } from '../data/formats/folder-layout.js';
import type { DataFormat } from '../data/formats/formats.js';
import { shardLayout } from '../data/formats/shards.js';
import { dataFormatOf, openDataset } from '../data/open/open-dataset.js';
import { imagesOfPlan, settingsOf } from '../phase/images/images.js';
import { checkedPlan } from '../plan/plan.js';
import { compile } from '../recipe/compile.js';
import { checkedRecipe } from '../recipe/recipe.js';
import { IMAGENET } from '../recipe/recipe-data.js';

/** What a first recipe is based on. */
export interface FoundImages {
  readonly format: DataFormat;
  readonly path: string;
  /** Whether validation images have to be taken out of the training images. */
  readonly isSplit: boolean;
  readonly classes: readonly string[];
  readonly trainImages: number;
  readonly valImages: number;
  /** Number of training images of the smallest and of the largest class. */
  readonly perClass: readonly [least: number, most: number];
  /** Colour channels. */
  readonly channels: 1 | 3;
  /** Width and height of sampled images. */
  readonly sizes: readonly { readonly width: number; readonly height: number }[];
}

/** Share of the training images that is held out if there is no validation part. */
const HELD_OUT = 0.1;

/**
 * Looks at the images in a folder or a CSV file: their format, classes, numbers and sizes.
 * @throws InputError as `openDataset`
 */
export async function findImages(path: string): Promise<FoundImages> {
  const format = dataFormatOf(path);
  const isSplit = !hasValidation(path, format);
  const { train, val } = openDataset({ format, path, ...(isSplit && { split: { val: HELD_OUT } }) });
  const counts = train.classes.map(() => 0);
  for (let i = 0; i < train.length; i++) counts[train.label(i)]++;
  const first = train.source(0);
  return {
    format,
    path,
    isSplit,
    classes: train.classes,
    trainImages: train.length,
    valImages: val.length,
    perClass: [Math.min(...counts), Math.max(...counts)],
    channels: isEncoded(first) ? 3 : first.channels,
    sizes: await sampledSizes(train),
  };
}

function hasValidation(path: string, format: DataFormat): boolean {
  if (format === 'folder') {
    const { parts } = folderLayout(path);
    return parts?.val !== undefined;
  }
  if (format === 'csv') return csvSplits(path)?.includes('val') ?? false;
  return format !== 'shards' || shardLayout(path).parts.val !== undefined;
}

const SAMPLED = 100;

/** Sizes of images that are spread over the data set. Those that cannot be read are left out. */
async function sampledSizes(dataset: Dataset): Promise<FoundImages['sizes']> {
  const count = Math.min(SAMPLED, dataset.length);
  const sizes: { width: number; height: number }[] = [];
  for (let i = 0; i < count; i++) {
    const source = dataset.source(Math.floor((i * dataset.length) / count));
    try {
      const { width, height } = isEncoded(source) ? await checkImage(source) : source;
      sizes.push({ width, height });
    } catch (error) {
      if (!(error instanceof DeepIncubationError)) throw error;
    }
  }
  return sizes;
}

/** Sizes to which larger images are resized. Models for up to 32 pixels do not resize. */
const SIZES = [40, 48, 64, 96, 128, 160, 192, 224];

/** The image size of a model: that of the images if all are equally small; otherwise at most their median shorter side. */
export function imageSizeFor(sizes: FoundImages['sizes']): number {
  if (sizes.length === 0) return 224;
  const sides = sizes.map(({ width, height }) => Math.min(width, height)).sort((a, b) => a - b);
  const [{ width }] = sizes;
  const areEqual = sizes.every((size) => size.width === width && size.height === width);
  if (areEqual && width <= 32 && width % 4 === 0) return width;
  const median = sides[Math.floor(sides.length / 2)];
  return SIZES.findLast((size) => size <= median) ?? SIZES[0];
}

interface Geometry {
  readonly width: number;
  readonly heads: number;
  readonly epochs: number;
  readonly batch: number;
}

/** A model and a training length that suit a number of images. */
function geometryFor(images: number): Geometry {
  const batch = Math.max(2, Math.min(images < 5000 ? 32 : 128, 2 * Math.floor(images / 8)));
  if (images < 10_000) return { width: 96, heads: 3, epochs: 40, batch };
  if (images < 100_000) return { width: 192, heads: 3, epochs: 60, batch };
  return { width: 384, heads: 6, epochs: 100, batch };
}

/** A commented recipe for images. */
export function initialRecipe(found: FoundImages): string {
  const { format, path, classes, trainImages: images, valImages, perClass, channels, sizes } = found;
  const size = imageSizeFor(sizes);
  const patch = size < 128 ? (size <= 32 ? 4 : 8) : 16;
  const { width, heads, epochs, batch } = geometryFor(images);
  const [least, most] = perClass;
  const count = (value: number) => value.toLocaleString('en-US');
  const isGrey = channels === 1;
  const pixels = isGrey ? { mean: [0.286], std: [0.353] } : IMAGENET;
  const half = Math.ceil(epochs / 2);
  return `# Made by \`deep-incubation init\` from ${count(images + (found.isSplit ? valImages : 0))} training images of ${classes.length} classes; see docs/recipes.md for all keys.
# Images of a class: ${count(least)} to ${count(most)}.${most > 10 * least ? ' The classes are strongly imbalanced: accuracy over all images favours the large ones.' : ''}
# Sampled images: ${sizesText(sizes)}.
name: ${JSON.stringify(recipeName(path))}
model:
  image_size: ${size} # ${size <= 32 ? 'the size of the images' : 'images are resized; a larger size costs more and can be more accurate'}
  patch_size: ${patch}
  channels: ${channels}
  classes: ${classes.length}
  width: ${width} # chosen for ${count(images)} training images
  depth: 12
  heads: ${heads}
incubation: { modules: 4, init: grown } # 4 modules of 3 blocks, which start as the meta model's: docs/when-to-use.md
data:
  format: ${format}
  path: ${JSON.stringify(path)}
${found.isSplit ? `  split: { val: ${HELD_OUT} } # no validation part was found: a tenth of the images of each class is held out\n` : ''}  mean: [${pixels.mean.join(', ')}] # assumed: ${isGrey ? "Fashion-MNIST's" : "ImageNet's"}
  std: [${pixels.std.join(', ')}] # assumed, likewise
training:
  batch_size: ${batch}
  optimizer: { lr: 0.001, lr_batch: null }
  schedule: { kind: step-cosine, warmup: 1 }
phases:
  PT: { epochs: ${epochs} } # the meta model
  MT: { epochs: ${half} } # each module
  FT: { epochs: ${half}, clip_grad: 1 } # the assembled model
  # E2E: {} # the same model end to end, at the same cost, to compare
${images < 10_000 ? '# With so few images, fine-tuning a published model is usually more accurate: docs/train.md, "Your own images".\n' : ''}`;
}

/**
 * Checks a recipe as \`plan\` does.
 * @throws InputError if it is invalid or does not fit the images
 */
export function requirePlannable(text: string, source: string): void {
  const recipe = checkedRecipe(parse(text), source);
  const phases = compile(recipe);
  const { train } = imagesOfPlan(settingsOf(phases[0], 'run'), { isHeadUnknown: false });
  checkedPlan(phases, train.length);
}

/** The name of a recipe for a folder or a CSV file. */
export function recipeName(path: string): string {
  return (
    basename(resolve(path).replace(/\.(csv|tsv)$/i, ''))
      .replaceAll(/[^\p{L}\p{N}._-]+/gu, '-')
      .replace(/^[.-]+/, '') || 'images'
  );
}

function sizesText(sizes: FoundImages['sizes']): string {
  if (sizes.length === 0) return 'none can be read';
  const range = (values: readonly number[]) => {
    const [low, high] = [Math.min(...values), Math.max(...values)];
    return low === high ? String(low) : `${low} to ${high}`;
  };
  return `${range(sizes.map(({ width }) => width))} pixels wide, ${range(sizes.map(({ height }) => height))} high`;
}
