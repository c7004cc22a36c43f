import { setImmediate as eventLoopTurn } from 'node:timers/promises';
import { type Dataset, type DecodeOptions, decodedAs } from '../../data/dataset.js';
import { evalBatches } from '../../data/loader/loader.js';
import { noGrad } from '../../torch/autograd.js';
import { to } from '../../torch/ops.js';
import { inPrecision } from '../../torch/precision.js';
import { Generator } from '../../torch/random.js';
import { scope } from '../../torch/scope.js';
import type { LoadedModel } from '../start/loaded-model.js';

/** The features of a batch of B images: the input of the model's classifier, in evaluation. */
export interface FeatureBatch {
  /** Number of features of an image, D. */
  readonly width: number;
  /** [B, D]. */
  readonly features: Float32Array;
  /** [B]. */
  readonly labels: Int32Array;
  /** Index of each image in the data set, [B]. */
  readonly indices: Int32Array;
}

export interface ImageFeaturesOptions {
  /** Number of images in a batch. Default 64. */
  readonly batchSize?: number | undefined;
  readonly decode: DecodeOptions;
  /** Called with each image that cannot be read, which is then left out. Default: it is an error. */
  readonly onSkipped?: ((image: string, reason: string) => void) | undefined;
}

const BATCH = 64;

/**
 * The features of all images of a data set, in its order, with the pixels of `eval`. Later images are read while a batch is used;
 * memory does not grow with their number.
 * @throws InputError if the model's head does not give its features, or an image is invalid
 */
export async function* imageFeatures(
  { model, task, evaluation, device, precision }: LoadedModel,
  images: Dataset,
  { batchSize = BATCH, decode, onSkipped }: ImageFeaturesOptions,
): AsyncGenerator<FeatureBatch> {
  const batches = evalBatches({
    dataset: decodedAs(images, decode),
    batchSize,
    ...evaluation,
    ...(onSkipped && {
      onSkipped: (index: number, error: Error) => onSkipped(images.describe(index), error.message),
    }),
  });
  // Evaluation draws no random numbers.
  const pass = { training: false, generator: new Generator(), key: [] };
  for await (const batch of batches) {
    // Otherwise no signals would be handled until the end.
    await eventLoopTurn();
    if (batch.size === 0) continue;
    const { features, width } = scope(() =>
      noGrad(() => {
        const { input } = task.prepare(batch);
        const found = inPrecision(precision, device, () => model.features(input, pass));
        return { features: to(found, { dtype: 'F32' }).toFloat32Array(), width: found.shape[1] };
      }),
    );
    yield { width, features, labels: batch.labels, indices: batch.indices };
  }
}
