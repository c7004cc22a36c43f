import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, extname, join } from 'node:path';
import sharp from 'sharp';
import { InputError } from '../base/errors.js';
import type { Dataset, DecodeOptions } from '../data/dataset.js';
import { withFileErrors } from '../files/file-errors.js';
import { noGrad } from '../torch/autograd.js';
import { scope } from '../torch/scope.js';
import { forwardPass } from '../training/evaluate.js';
import { predictEach, type Unreadable } from './predict-each.js';
import type { LoadedModel } from './start/loaded-model.js';

/** The label map of an image, and the share of its pixels of each class, the largest first. */
interface LabelMap {
  readonly image: string;
  /** A PNG as ADE20K's annotations: grey value k + 1 for class k. */
  readonly map: string;
  readonly classes: readonly { readonly class: string; readonly label: number; readonly share: number }[];
}

interface PredictMapsOptions {
  /** Folder for the label maps. */
  readonly out: string;
  readonly decode: DecodeOptions;
  /** Names of the classes by label. Default: the labels. */
  readonly names: readonly string[] | undefined;
}

/**
 * Labels the pixels of images and writes a label map for each, with the image's name and the extension .png.
 * @throws InputError if two images would have the same label map, or the folder cannot be written
 */
export function predictMaps(
  loaded: LoadedModel,
  images: Dataset,
  { out, decode, names }: PredictMapsOptions,
): AsyncGenerator<LabelMap | Unreadable> {
  const paths = mapPaths(images, out);
  withFileErrors(out, () => mkdirSync(out, { recursive: true }));
  const forward = forwardPass(loaded);
  const { infer, labelMap } = loaded.task;
  return predictEach(loaded, images, decode, async (batch, index) => {
    const labels = scope(() => noGrad(() => inferred(labelMap?.(inferred(infer?.(batch, forward)?.output)))));
    await writeMap(paths[index], labels, batch);
    return { image: images.describe(index), map: paths[index], classes: sharesOf(labels, names) };
  });
}

function inferred<T>(output: T | undefined): T {
  if (output === undefined) throw new RangeError('the task does not label pixels');
  return output;
}

function mapPaths(images: Dataset, out: string): string[] {
  const taken = new Map<string, string>();
  return Array.from({ length: images.length }, (_, index) => {
    const image = images.describe(index);
    const path = join(out, `${basename(image, extname(image))}.png`);
    const other = taken.get(path);
    if (other !== undefined) {
      throw new InputError(`${image} and ${other} have the same name, so both label maps would be ${path}`, {
        hint: 'predict them into different folders',
      });
    }
    taken.set(path, image);
    return path;
  });
}

async function writeMap(
  path: string,
  labels: Uint8Array,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<void> {
  const grey = labels.map((label) => label + 1);
  const png = await sharp(grey, { raw: { width, height, channels: 1 } })
    .toColourspace('b-w')
    .png()
    .toBuffer();
  withFileErrors(path, () => writeFileSync(path, png));
}

function sharesOf(labels: Uint8Array, names: readonly string[] | undefined) {
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts]
    .sort(([a, one], [b, other]) => other - one || a - b)
    .map(([label, count]) => ({
      class: names?.[label] ?? String(label),
      label,
      share: count / labels.length,
    }));
}
