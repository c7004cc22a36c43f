import { InputError } from '../../base/errors.js';
import { visibleLine } from '../../base/visible.js';
import { unlabelledImages } from '../../data/formats/image-paths.js';
import { passedOverLine } from '../../data/passed-over.js';
import {
  type ImagePrediction,
  type PredictedClass,
  predictImages,
  requirePredictions,
} from '../../launch/predict.js';
import { loadModel } from '../../launch/start/loaded-model.js';
import { modelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { knownClasses } from '../checkpoint/classes.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { note, noteAssumed, print } from '../terminal/output.js';
import { csvHead, csvLine, jsonLine } from './per-image.js';
import { commandsOf } from './task-commands.js';
import { writeEach } from './write-each.js';

interface PredictCommandOptions {
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly classes?: string;
  readonly top: number;
  readonly batchSize: number;
  readonly weights?: WeightsKind;
  readonly csv?: true;
  readonly json?: true;
  /** Folder for the label maps of a model that labels pixels; file for the objects of a model that finds objects. */
  readonly out?: string;
}

/** `predict`: classifies images. Exits with 1 if an image cannot be read. */
export async function predictPaths(
  name: string,
  paths: readonly string[],
  options: PredictCommandOptions,
): Promise<void> {
  const images = unlabelledImages(paths);
  for (const each of images.passedOver ?? []) note(passedOverLine(each));
  const checkpoint = await openCheckpoint(name, options.weights);
  const known = modelOfCheckpoint(checkpoint, { recipe: options.recipe, settings: options.set ?? [] });
  for (const line of known.differences) note(line);
  noteAssumed(known.assumptions);
  const loaded = loadModel(checkpoint, known, note);
  const count = loaded.config.classes;
  const { named } = knownClasses(checkpoint, { count, stated: options.classes });
  if (named === undefined)
    note('classes are shown by label: the checkpoint does not name them (--classes gives names)');
  const own = await commandsOf(known.recipe);
  if (own !== undefined) {
    return own.predict(loaded, images, {
      ...options,
      checkpoint: checkpoint.name,
      decode: known.recipe.data,
      names: named?.names,
      categoryIds: checkpoint.manifest?.category_ids,
      classes: count,
    });
  }
  if (options.out !== undefined) {
    throw new InputError(`--out: ${checkpoint.name} classifies images, and writes no label maps`, {
      hint: 'remove --out',
    });
  }
  requirePredictions(loaded, checkpoint.name);
  const top = Math.min(options.top, count);
  const { batchSize } = options;
  const results = predictImages(loaded, images, {
    top,
    batchSize,
    decode: known.recipe.data,
    names: named?.names,
  });
  const write = writerOf(options, { top, width: widthOf(images), names: named?.names ?? [String(count)] });
  await writeEach(results, images.length, write);
}

interface Layout {
  readonly top: number;
  /** Of the column of image names. */
  readonly width: number;
  readonly names: readonly string[];
}

function writerOf(
  { csv, json }: Pick<PredictCommandOptions, 'csv' | 'json'>,
  { top, width, names }: Layout,
): (result: ImagePrediction) => void {
  if (json) return (result) => process.stdout.write(jsonLine(result));
  if (csv) {
    process.stdout.write(csvHead(top));
    return (result) => {
      if (!('error' in result)) process.stdout.write(csvLine(result));
    };
  }
  const longest = Math.min(MOST_WIDTH, Math.max(...names.map(({ length }) => length)));
  const cell = ({ class: name, probability }: PredictedClass) =>
    `${name.padEnd(longest)} ${(100 * probability).toFixed(2).padStart(6)} %`;
  return (result) => {
    if ('error' in result) return;
    print(visibleLine([result.image.padEnd(width), ...result.predictions.map(cell)].join('  ')));
  };
}

const MOST_WIDTH = 60;
/** Only the names of the first images determine the width of their column. */
const MEASURED = 1000;

function widthOf({ length, describe }: { readonly length: number; describe(i: number): string }): number {
  const measured = Array.from({ length: Math.min(length, MEASURED) }, (_, i) => describe(i).length);
  return Math.min(
    MOST_WIDTH,
    measured.reduce((most, each) => Math.max(most, each), 0),
  );
}
