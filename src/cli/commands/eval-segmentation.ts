import { InputError } from '../../base/errors.js';
import type { Batch } from '../../data/dataset.js';
import { ade20k } from '../../data/formats/ade20k.js';
import { evalBatches } from '../../data/loader/loader.js';
import { subset } from '../../data/loader/sampler.js';
import { dataFormatOf, publishedPart } from '../../data/open/open-dataset.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
import { modelClassesOf } from '../../launch/start/checkpoint-classes.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { loadModel } from '../../launch/start/loaded-model.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { EVAL_LOSS, significant } from '../../report/format.js';
import { labelledScore, scoresOf } from '../../run/metric.js';
import { classOverlaps } from '../../tasks/segmentation/metrics.js';
import { evaluate } from '../../training/evaluate.js';
import type { ClassOverlap, Sums } from '../../training/task.js';
import { progressLine } from '../terminal/live-block.js';
import { columns, note, print, printJson } from '../terminal/output.js';

interface SegmentationEvalOptions {
  readonly data: string;
  readonly split?: SplitChoice | 'held-out';
  readonly classes?: string;
  readonly batchMean?: true;
  readonly perImage?: string;
  readonly json?: true;
}

/** `eval` of a checkpoint that labels pixels, on a data set in ADE20K's layout. */
export async function evaluateSegmentation(
  checkpoint: CheckpointFile,
  known: ModelOfCheckpoint,
  options: SegmentationEvalOptions,
): Promise<void> {
  requireSupported(options);
  const { dataset, names } = labelledPixels(checkpoint, known, options);
  for (const each of dataset.passedOver ?? []) note(passedOverLine(each));
  const { model, task, evaluation, device, precision } = loadModel(checkpoint, known, note);
  const sums: Record<string, number> = {};
  const started = performance.now();
  const progress = progressLine(process.stderr, 'images');
  const scores = await evaluate({
    model,
    task,
    batches: counted(evalBatches({ dataset, batchSize: 1, ...evaluation }), (done) =>
      progress.show(done, dataset.length),
    ),
    device,
    precision,
    onScored: (each) => {
      for (const [name, value] of Object.entries(each)) sums[name] = (sums[name] ?? 0) + value;
    },
  }).finally(progress.clear);
  const seconds = (performance.now() - started) / 1000;
  const overlaps = classOverlaps(sums as Sums, known.recipe.model.classes);
  const result = {
    ...scoresOf(scores, task.metrics.all),
    images: scores.images,
    loss: scores.loss,
    checkpoint: checkpoint.name,
    data: options.data,
    split: options.split,
    evaluation: known.recipe.segmentation?.evaluation,
    device,
    precision,
    seconds,
    images_per_second: scores.images / seconds,
    classes: overlaps.map((each) => ({ ...withoutNaN(each), name: names[each.class] })),
  };
  if (options.json) return printJson(result);
  print(
    ...columns(
      [
        ['checkpoint', checkpoint.name],
        ['images', `${scores.images.toLocaleString('en-US')} of ${options.data}`],
        ...task.metrics.shown.map((metric) => [
          metric.label,
          labelledScore({ ...metric, label: '' }, scores).trim(),
        ]),
        [EVAL_LOSS, scores.loss.toFixed(4)],
        ['eval speed', `${significant(scores.images / seconds)} images/s on ${device}`],
      ],
      2,
    ),
  );
  printWorst(overlaps, names);
}

function requireSupported({ split, classes, batchMean, perImage }: SegmentationEvalOptions): void {
  const refused = Object.entries({
    '--classes': classes,
    '--batch-mean': batchMean,
    '--per-image': perImage,
    '--split held-out': split === 'held-out' || undefined,
  }).find(([, value]) => value !== undefined);
  if (refused === undefined) return;
  throw new InputError(`${refused[0]} is not supported for a model that labels pixels`, {
    hint: 'remove it; `predict --out DIR` writes the labels of each image',
  });
}

/** The images of a part of the data set, whose classes must be those of the model. */
function labelledPixels(
  checkpoint: CheckpointFile,
  { recipe }: ModelOfCheckpoint,
  { data, split }: SegmentationEvalOptions,
) {
  const format = dataFormatOf(data);
  if (format !== 'ade20k') {
    throw new InputError(`${data} has no label maps, but ${checkpoint.name} labels pixels`, {
      hint: "use a data set in ADE20K's layout: images, annotations and objectInfo150.txt",
    });
  }
  const part = publishedPart(data, split === 'held-out' ? 'val' : split, format);
  const dataset = subset(ade20k(data)[part], recipe.data.eval_images);
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

async function* counted(batches: AsyncIterable<Batch>, show: (done: number) => void): AsyncGenerator<Batch> {
  let done = 0;
  for await (const batch of batches) {
    yield batch;
    show(++done);
  }
}

/** JSON has no NaN: a class that does not occur has null. */
function withoutNaN(overlap: ClassOverlap) {
  const known = (value: number) => (Number.isNaN(value) ? null : value);
  return { ...overlap, iou: known(overlap.iou), acc: known(overlap.acc) };
}

const MOST_SHOWN = 5;

function printWorst(overlaps: readonly ClassOverlap[], names: readonly string[]): void {
  const worst = overlaps
    .filter(({ iou, pixels }) => pixels > 0 && iou < 100)
    .sort((a, b) => a.iou - b.iou)
    .slice(0, MOST_SHOWN);
  if (worst.length === 0) return;
  const rows = worst.map(({ class: label, iou, acc, pixels }) => [
    `  ${names[label]}`,
    `IoU ${iou.toFixed(2)} %`,
    `accuracy ${acc.toFixed(2)} %`,
    `${pixels.toLocaleString('en-US')} pixels`,
  ]);
  print('', 'worst classes', ...columns(rows, 2));
}
