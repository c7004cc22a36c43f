import { InputError } from '../base/errors.js';
import { type Dataset, type DecodeOptions, decodedAs } from '../data/dataset.js';
import { unlabelledImages } from '../data/formats/image-paths.js';
import { evalBatches } from '../data/loader/loader.js';
import { taskKind } from '../tasks/tasks.js';
import { noGrad } from '../torch/autograd.js';
import { scope } from '../torch/scope.js';
import { forwardPass } from '../training/evaluate.js';
import type { Predictions } from '../training/task.js';
import { modelClassesOf } from './start/checkpoint-classes.js';
import { readCheckpointFile } from './start/checkpoint-file.js';
import { type LoadedModel, loadModel } from './start/loaded-model.js';
import { modelOfCheckpoint } from './start/model-of-checkpoint.js';

/** A class that a model predicts for an image. */
export interface PredictedClass {
  /** The name of the class; its label if the classes have no names. */
  readonly class: string;
  readonly label: number;
  /** From the softmax over all classes. */
  readonly probability: number;
  readonly logit: number;
}

/** The result for one image: its most likely classes, most likely first, or the reason why it could not be read. */
export type ImagePrediction =
  | { readonly image: string; readonly predictions: readonly PredictedClass[] }
  | { readonly image: string; readonly error: string };

export interface PredictOptions {
  /** Number of classes per image. Default: 5, or all classes if there are fewer. */
  readonly top?: number;
  /** Number of images in a batch. Default 64. */
  readonly batchSize?: number;
  /** Recipe file of the model, for weights that do not determine it. */
  readonly recipe?: string;
  /** Settings of the recipe, each `key=value`, such as `model.heads=4` or `run.device=cpu`. */
  readonly settings?: readonly string[];
  /** The names of the classes, as for `--classes` of the command. Default: those of the checkpoint. */
  readonly classes?: string;
  /** Called with notes for the user, including what is assumed about the model. */
  readonly note?: (line: string) => void;
}

/** Default number of classes that are returned for an image. */
const TOP = 5;

/** Default number of images in a batch of an evaluation. */
const EVAL_BATCH = 64;

/**
 * Classifies images with a checkpoint, with the same pixels and logits as `eval`. The checkpoint is named as in
 * `readCheckpointFile`: a run, a phase, a file or a name on the hub. Results come in the order of the images, while later images
 * are still being read; memory does not grow with their number, apart from the list of their names.
 *
 * @param paths image files, and folders whose images (also in folders below) are all used
 * @throws InputError if the checkpoint or a path does not exist or is invalid. An image that cannot be read is not an error: its
 *   result has the field `error`.
 *
 * @example
 * const options = { settings: ['model.heads=2', 'run.device=cpu'], top: 1 };
 * for await (const result of predict('model.safetensors', ['images/val'], options)) {
 *   if ('error' in result) console.log(result.image, result.error);
 *   else console.log(result.image, result.predictions[0].class, result.predictions[0].probability);
 * }
 */
export async function* predict(
  checkpoint: string,
  paths: readonly string[],
  options: PredictOptions = {},
): AsyncGenerator<ImagePrediction> {
  const { recipe, settings = [], classes: stated, note = () => {} } = options;
  const images = unlabelledImages(paths);
  const file = await readCheckpointFile(checkpoint, { note });
  const known = modelOfCheckpoint(file, { recipe, settings });
  for (const line of [...known.differences, ...known.assumptions.map((text) => `assumed: ${text}`)])
    note(line);
  const { does, annotations } = taskKind(known.recipe.task);
  if (annotations !== undefined) {
    throw new InputError(`${file.name} ${does}, and predict() classifies images`, {
      hint: `the command predict ${annotations.predict}: see ${annotations.page}`,
    });
  }
  const loaded = loadModel(file, known, note);
  requirePredictions(loaded, file.name);
  const { named } = modelClassesOf(file, { count: loaded.config.classes, stated });
  yield* predictImages(loaded, images, { ...options, decode: known.recipe.data, names: named?.names });
}

/** @throws InputError if the task of a model predicts no classes */
export function requirePredictions({ task }: Pick<LoadedModel, 'task'>, name: string): void {
  if (task.predict !== undefined) return;
  throw new InputError(`the task of ${name} predicts no class of an image`, {
    hint: 'eval gives its metrics; predict is for models that choose a class',
  });
}

interface PredictImagesOptions {
  readonly top?: number | undefined;
  readonly batchSize?: number | undefined;
  readonly decode: DecodeOptions;
  /** Names of the classes by label. Default: the labels. */
  readonly names?: readonly string[] | undefined;
}

/** Classifies the images of a data set, in its order. Its labels are not used. */
export async function* predictImages(
  { model, task, evaluation, device, precision }: LoadedModel,
  images: Dataset,
  { top = TOP, batchSize = EVAL_BATCH, decode, names }: PredictImagesOptions,
): AsyncGenerator<ImagePrediction> {
  const skipped = new Map<number, string>();
  const batches = evalBatches({
    dataset: decodedAs(images, decode),
    batchSize,
    ...evaluation,
    onSkipped: (index, error) => skipped.set(index, error.message),
  });
  const forward = forwardPass({ model, device, precision });
  let next = 0;
  for await (const batch of batches) {
    const found =
      batch.size === 0
        ? undefined
        : scope(() =>
            noGrad(() => {
              const { input, target } = task.prepare(batch);
              return task.predict?.(forward(input), target, top);
            }),
          );
    const slots = new Map(Array.from(batch.indices, (index, slot) => [index, slot]));
    for (const end = Math.min(next + batchSize, images.length); next < end; next++) {
      const image = images.describe(next);
      const slot = slots.get(next);
      if (slot !== undefined && found !== undefined)
        yield { image, predictions: predictionsAt(found, slot, names) };
      else yield { image, error: skipped.get(next) ?? 'not read' };
      skipped.delete(next);
    }
  }
}

/** The predictions for one image of a batch. */
export function predictionsAt(
  { k, classes, probabilities, logits }: Predictions,
  slot: number,
  names: readonly string[] | undefined,
): PredictedClass[] {
  return Array.from({ length: k }, (_, rank) => {
    const at = slot * k + rank;
    const label = classes[at];
    return {
      class: names?.[label] ?? String(label),
      label,
      probability: probabilities[at],
      logit: logits[at],
    };
  });
}
