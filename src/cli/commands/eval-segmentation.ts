import { InputError } from '../../base/errors.js';
import { evalBatches } from '../../data/loader/loader.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
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
import { annotatedImages, counted } from './annotated-images.js';

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
  const { dataset, names } = annotatedImages(checkpoint, known, { ...options, format: 'ade20k' });
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
