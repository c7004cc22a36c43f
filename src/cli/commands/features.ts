import { existsSync } from 'node:fs';
import { extname } from 'node:path';
import { InputError } from '../../base/errors.js';
import type { Dataset } from '../../data/dataset.js';
import { unlabelledImages } from '../../data/formats/image-paths.js';
import { openPart } from '../../data/open/open-dataset.js';
import type { SplitChoice } from '../../data/splits.js';
import { replaceFile, writeAll } from '../../files/file-bytes.js';
import { featureFile, featurePaths } from '../../launch/features/feature-file.js';
import { imageFeatures } from '../../launch/features/image-features.js';
import { csvField } from '../../report/metrics-csv.js';
import {
  type FeatureModelOptions,
  featureModel,
  notePassedOver,
  partOf,
} from '../checkpoint/feature-model.js';
import { progressLine } from '../terminal/live-block.js';
import { note, print, printJson } from '../terminal/output.js';

interface FeaturesOptions extends FeatureModelOptions {
  readonly data?: string;
  readonly split?: SplitChoice | 'held-out';
  readonly out: string;
  readonly batchSize: number;
  readonly force?: true;
  readonly json?: true;
}

/** `features`: writes the features of images. Exits with 1 if an image cannot be read. */
export async function exportFeatures(
  name: string,
  paths: readonly string[],
  options: FeaturesOptions,
): Promise<void> {
  const { data, out } = options;
  if ((data === undefined) === (paths.length === 0)) {
    throw new InputError('name either paths of images or a data set', {
      hint: 'For example: features CHECKPOINT photos --out photos.npy, or features CHECKPOINT --data DIR --out dir.npy',
    });
  }
  const hasLabels = data !== undefined;
  const files = { ...featurePaths(out, hasLabels), images: `${out.slice(0, -extname(out).length)}.csv` };
  requireFree(Object.values(files), options.force ?? false);
  const { checkpoint, known, loaded } = await featureModel(name, options);
  const images = hasLabels
    ? openPart(data, { ...partOf(checkpoint, options.split), category: known.recipe.data.category })
    : unlabelledImages(paths);
  notePassedOver(images);

  const progress = progressLine(process.stderr, 'images');
  const rows: number[] = [];
  let skipped = 0;
  const onSkipped = (_image: string, reason: string) => {
    skipped++;
    progress.clear();
    note(`not read: ${reason}`);
  };
  const file = featureFile(out, hasLabels);
  try {
    const { batchSize } = options;
    for await (const batch of imageFeatures(loaded, images, {
      batchSize,
      decode: known.recipe.data,
      onSkipped,
    })) {
      file.add(batch);
      for (const index of batch.indices) rows.push(index);
      progress.show(rows.length, images.length);
    }
    progress.clear();
    if (rows.length === 0) throw new InputError(`none of the ${images.length} images could be read`);
    const [count, width] = file.finish({
      checkpoint: checkpoint.name,
      ...(hasLabels && { data, classes: JSON.stringify(images.classes) }),
    });
    writeImageTable(files.images, images, rows, hasLabels);
    report(options, { count, width, skipped, files, device: loaded.device, checkpoint: checkpoint.name });
  } finally {
    progress.clear();
    file.close();
  }
  if (skipped > 0) process.exitCode = 1;
}

function requireFree(paths: readonly string[], force: boolean): void {
  const taken = paths.find((path) => existsSync(path));
  if (taken === undefined || force) return;
  throw new InputError(`${taken} already exists`, {
    hint: 'choose another output path, or --force to overwrite it',
  });
}

const LINES = 10_000;

/** A table of the images in the order of the rows. */
function writeImageTable(path: string, images: Dataset, rows: readonly number[], hasLabels: boolean): void {
  replaceFile(path, (descriptor) => {
    writeAll(descriptor, Buffer.from(hasLabels ? 'image,label,class\n' : 'image\n'));
    for (let from = 0; from < rows.length; from += LINES) {
      const lines = rows.slice(from, from + LINES).map((index) => {
        const label = images.label(index);
        const fields = [images.describe(index), ...(hasLabels ? [label, images.classes[label]] : [])];
        return `${fields.map(csvField).join(',')}\n`;
      });
      writeAll(descriptor, Buffer.from(lines.join('')));
    }
  });
}

interface Report {
  readonly count: number;
  readonly width: number;
  readonly skipped: number;
  readonly files: Readonly<Record<string, string>>;
  readonly device: string;
  readonly checkpoint: string;
}

function report({ json }: FeaturesOptions, { count, width, files, ...rest }: Report): void {
  if (json) {
    printJson({ images: count, width, files, ...rest });
    return;
  }
  print(`${Object.values(files).join(', ')}: ${width} features of ${count.toLocaleString('en-US')} images`);
  if (rest.skipped > 0) note(`${rest.skipped} images could not be read`);
}
