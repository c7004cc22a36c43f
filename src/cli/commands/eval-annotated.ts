import { InputError } from '../../base/errors.js';
import type { Batch, Dataset } from '../../data/dataset.js';
import type { DataFormat } from '../../data/formats/formats.js';
import { evalBatches } from '../../data/loader/loader.js';
import { subset } from '../../data/loader/sampler.js';
import { dataFormatOf, publishedPart } from '../../data/open/open-dataset.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
import { modelClassesOf } from '../../launch/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { loadModel } from '../../launch/start/loaded-model.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { chosenTask } from '../../recipe/task-of.js';
import { EVAL_LOSS, significant } from '../../report/format.js';
import { labelledScore, scoresOf } from '../../run/metric.js';
import { taskKind } from '../../tasks/tasks.js';
import { type EvaluateOptions, evaluate } from '../../training/evaluate.js';
import { progressLine } from '../terminal/live-block.js';
import { columns, note, print } from '../terminal/output.js';
import { requireFiniteLoss } from './finite-loss.js';

/** The data sets that a task is evaluated on. */
export interface AnnotatedImages {
  readonly format: DataFormat;
  /** For messages: `label maps`. */
  readonly has: string;
  /** For messages: what to use instead of an option that is not supported, and which data set. */
  readonly instead: string;
  readonly hint: string;
  open(data: string, part: 'train' | 'val'): Dataset;
}

export interface AnnotatedEvalOptions {
  readonly data: string;
  readonly split?: SplitChoice | 'held-out';
  readonly classes?: string;
  readonly batchMean?: true;
  readonly perImage?: string;
  readonly realLabels?: string;
  readonly presentClasses?: true;
  readonly json?: true;
}

/** @throws InputError naming an option of `eval` that such a model does not support */
export function requireSupported(
  { split, classes, batchMean, realLabels, presentClasses }: AnnotatedEvalOptions,
  { recipe }: Pick<ModelOfCheckpoint, 'recipe'>,
  { instead }: AnnotatedImages,
  others: Readonly<Record<string, unknown>> = {},
): void {
  const refused = Object.entries({
    '--classes': classes,
    '--batch-mean': batchMean,
    '--real-labels': realLabels,
    '--present-classes': presentClasses,
    ...others,
    '--split held-out': split === 'held-out' || undefined,
  }).find(([, value]) => value !== undefined);
  if (refused === undefined) return;
  const { does } = taskKind(recipe.task);
  throw new InputError(`${refused[0]} is not supported for a model that ${does}`, {
    hint: `remove it; ${instead}`,
  });
}

/**
 * Evaluates a model on a data set with labels of pixels or objects, image by image.
 * @throws InputError if the data set has another format or other classes
 */
export async function evaluateAnnotated(
  checkpoint: CheckpointFile,
  known: ModelOfCheckpoint,
  options: AnnotatedEvalOptions & { readonly images: AnnotatedImages },
  more: Pick<EvaluateOptions, 'collection' | 'onScored'>,
) {
  const { data, split } = options;
  const { taskKind: kind, taskSettings } = chosenTask(known.recipe);
  const { dataset, names } = annotatedImages(checkpoint, known, options);
  for (const each of dataset.passedOver ?? []) note(passedOverLine(each));
  const { model, task, evaluation, device, precision } = loadModel(checkpoint, known, note);
  const started = performance.now();
  const progress = progressLine(process.stderr, 'images');
  const batches = counted(evalBatches({ dataset, batchSize: 1, ...evaluation }), (done) =>
    progress.show(done, dataset.length),
  );
  const scores = await evaluate({ model, task, batches, device, precision, ...more }).finally(progress.clear);
  requireFiniteLoss(scores.loss, checkpoint);
  const seconds = (performance.now() - started) / 1000;
  const speed = scores.images / seconds;
  return {
    dataset,
    names,
    /** For `--json`. */
    result: {
      ...scoresOf(scores, task.metrics.all),
      images: scores.images,
      loss: scores.loss,
      checkpoint: checkpoint.name,
      data,
      split,
      evaluation: kind.annotations?.evaluation(taskSettings),
      device,
      precision,
      seconds,
      images_per_second: speed,
    },
    /** For people: labels and values. */
    rows: [
      ['checkpoint', checkpoint.name],
      ['images', `${scores.images.toLocaleString('en-US')} of ${data}`],
      ...task.metrics.shown.map((metric) => [
        metric.label,
        labelledScore({ ...metric, label: '' }, scores).trim(),
      ]),
      [EVAL_LOSS, scores.loss.toFixed(4)],
      ['eval speed', `${significant(speed)} images/s on ${device}`],
    ],
  };
}

/** Number of classes with the lowest scores that are printed. */
const MOST_SHOWN = 5;

/** @param rows of classes, the worst first */
export function printWorst(rows: readonly (readonly string[])[]): void {
  if (rows.length > 0) print('', 'worst classes', ...columns(rows.slice(0, MOST_SHOWN), 2));
}

/**
 * The images of a part of a data set with labels of pixels or objects, whose classes must be those of the model.
 * @throws InputError if the data set has another format or other classes
 */
function annotatedImages(
  checkpoint: CheckpointFile,
  { recipe }: ModelOfCheckpoint,
  {
    data,
    split,
    images: { format, has, hint, open },
  }: Pick<AnnotatedEvalOptions, 'data' | 'split'> & { readonly images: AnnotatedImages },
): { readonly dataset: Dataset; readonly names: readonly string[] } {
  const { does } = taskKind(recipe.task);
  if (dataFormatOf(data) !== format) {
    throw new InputError(`${data} has no ${has}, but ${checkpoint.name} ${does}`, { hint });
  }
  const part = publishedPart(data, split === 'held-out' ? 'val' : split, format);
  const dataset = subset(open(data, part), recipe.data.eval_images);
  const { classes: count } = recipe.model;
  const named = modelClassesOf(checkpoint, { count, stated: undefined }).named?.names;
  const names = named ?? dataset.classes;
  const differing = dataset.classes.findIndex((name, label) => name !== names[label]);
  if (dataset.classes.length === count && differing < 0) return { dataset, names };
  const what =
    dataset.classes.length === count
      ? `class ${differing} is ${dataset.classes[differing]}, but ${names[differing]} in ${checkpoint.name}`
      : `${dataset.classes.length} classes, but ${checkpoint.name} has ${count}`;
  throw new InputError(`${data}: ${what}`, { hint: 'use the data set that the model was trained on' });
}

/** Reports the number of images that have been evaluated. */
async function* counted(batches: AsyncIterable<Batch>, show: (done: number) => void): AsyncGenerator<Batch> {
  let done = 0;
  for await (const batch of batches) {
    yield batch;
    show(++done);
  }
}
