import type { Dataset } from '../data/dataset.js';
import { type FeatureBatch, imageFeatures } from '../launch/features/image-features.js';
import { type ProbeImages, type ProbeResult, type ProbeSettings, probe } from '../launch/features/probe.js';
import { readCheckpointFile } from '../launch/start/checkpoint-file.js';
import { loadModel } from '../launch/start/loaded-model.js';
import { modelOfCheckpoint } from '../launch/start/model-of-checkpoint.js';
import type { ModelFamily } from '../models/family.js';
import type { WeightsKind } from '../weights/layout/weights-choice.js';

export interface CheckpointFeaturesOptions {
  /** Your own families of models. */
  readonly families?: readonly ModelFamily[];
  /** Number of images in a batch. Default 64. */
  readonly batchSize?: number;
  /** Recipe file of the model, for weights that do not determine it. */
  readonly recipe?: string;
  /** Settings of the recipe, each `key=value`, such as `model.heads=4` or `run.device=cpu`. */
  readonly settings?: readonly string[];
  /** Plain or averaged weights, if the checkpoint has both. Default: averaged. */
  readonly weights?: WeightsKind;
  /** Called with notes for the user, including what is assumed about the model. */
  readonly note?: (line: string) => void;
}

/**
 * The features of images: the input of the classifier of a checkpoint's model, as the command `features`. The checkpoint may lack
 * a classifier. Batches come while later images are being read.
 * @throws InputError if the checkpoint or an image is invalid, or the head of your own family has no method `features`
 *
 * @example
 * const { val } = openDataset({ format: 'folder', path: 'images' });
 * const options = { settings: ['model.heads=2', 'run.device=cpu'] };
 * for await (const { features, width, labels } of checkpointFeatures('model.safetensors', val, options)) {
 *   console.log(labels.length, features.length / width);
 * }
 */
export async function* checkpointFeatures(
  name: string,
  images: Dataset,
  options: CheckpointFeaturesOptions = {},
): AsyncGenerator<FeatureBatch> {
  const { loaded, decode } = await opened(name, options);
  try {
    yield* imageFeatures(loaded, images, { batchSize: options.batchSize, decode });
  } finally {
    loaded.model.free();
  }
}

/**
 * Scores the features of a checkpoint by nearest neighbours and by a linear classifier, as the command `probe`.
 * @throws InputError as `checkpointFeatures`, or if there are fewer training images than neighbours
 *
 * @example
 * const { train, val } = openDataset({ format: 'folder', path: 'images' });
 * const options = { settings: ['model.heads=2', 'run.device=cpu'], knn: { ks: [3] }, linear: { c: 1 } };
 * const { knn, linear } = await probeCheckpoint('model.safetensors', { train, val }, options);
 * console.log(knn[0], linear);
 */
export async function probeCheckpoint(
  name: string,
  images: ProbeImages,
  options: CheckpointFeaturesOptions & ProbeSettings,
): Promise<ProbeResult> {
  const { batchSize, knn, linear, temporary } = options;
  const { loaded, decode } = await opened(name, options);
  try {
    return await probe(loaded, images, { batchSize, decode, knn, linear, temporary });
  } finally {
    loaded.model.free();
  }
}

async function opened(
  name: string,
  { families, recipe, settings = [], weights, note = () => {} }: CheckpointFeaturesOptions,
) {
  const checkpoint = await readCheckpointFile(name, { families, weights, note });
  const known = modelOfCheckpoint(checkpoint, { recipe, settings, allowsHeadless: true });
  const assumed = known.assumptions.map((text) => `assumed: ${text}`);
  for (const line of [...known.differences, ...assumed]) note(line);
  return { loaded: loadModel(checkpoint, known, note), decode: known.recipe.data };
}
