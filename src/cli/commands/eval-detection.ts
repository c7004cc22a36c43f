import { existsSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { type CocoResult, writeCocoResults } from '../../data/coco/results.js';
import { evalBatches } from '../../data/loader/loader.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { loadModel } from '../../launch/start/loaded-model.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { EVAL_LOSS, significant } from '../../report/format.js';
import { labelledScore, scoresOf } from '../../run/metric.js';
import type { CocoEvaluation } from '../../tasks/detection/coco-evaluate.js';
import { type DetectionCollection, detectionCollection, percent } from '../../tasks/detection/collection.js';
import { evaluate } from '../../training/evaluate.js';
import type { Collection } from '../../training/task.js';
import { progressLine } from '../terminal/live-block.js';
import { columns, note, print, printJson } from '../terminal/output.js';
import { annotatedImages, counted } from './annotated-images.js';

interface DetectionEvalOptions {
  readonly data: string;
  readonly split?: SplitChoice | 'held-out';
  readonly classes?: string;
  readonly batchMean?: true;
  readonly perImage?: string;
  readonly json?: true;
}

/** `eval` of a checkpoint that finds objects, on a data set in COCO's layout. */
export async function evaluateDetection(
  checkpoint: CheckpointFile,
  known: ModelOfCheckpoint,
  options: DetectionEvalOptions,
): Promise<void> {
  requireSupported(options);
  const files = resultFiles(options.perImage);
  const { dataset, names } = annotatedImages(checkpoint, known, { ...options, format: 'coco' });
  for (const each of dataset.passedOver ?? []) note(passedOverLine(each));
  const { model, task, evaluation, device, precision } = loadModel(checkpoint, known, note);
  const collection = detectionCollection(known.recipe.model.classes);
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
    collection: collection as Collection,
  }).finally(progress.clear);
  const seconds = (performance.now() - started) / 1000;
  if (files) writeResults(collection, dataset.categoryIds, files);
  const kinds = { boxes: collection.evaluation('boxes'), masks: collection.evaluation('masks') };
  const result = {
    ...scoresOf(scores, task.metrics.all),
    images: scores.images,
    loss: scores.loss,
    checkpoint: checkpoint.name,
    data: options.data,
    split: options.split,
    evaluation: known.recipe.detection?.evaluation,
    device,
    precision,
    seconds,
    images_per_second: scores.images / seconds,
    boxes: figuresOf(kinds.boxes),
    masks: figuresOf(kinds.masks),
    classes: names.map((name, label) => ({
      class: label,
      name,
      ap: known100(kinds.boxes.categories.get(label)),
      mask_ap: known100(kinds.masks.categories.get(label)),
    })),
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
        ...(files ? [['written', Object.values(files).join(', ')]] : []),
      ],
      2,
    ),
  );
  printWorst(result.classes);
}

function requireSupported({ split, classes, batchMean }: DetectionEvalOptions): void {
  const refused = Object.entries({
    '--classes': classes,
    '--batch-mean': batchMean,
    '--split held-out': split === 'held-out' || undefined,
  }).find(([, value]) => value !== undefined);
  if (refused === undefined) return;
  throw new InputError(`${refused[0]} is not supported for a model that finds objects`, {
    hint: 'remove it; `--per-image FILE.json` writes the objects of each image',
  });
}

/** The results of boxes and masks are separate files: COCO's own evaluation would take the area of a mask from its box. */
interface ResultFiles {
  readonly boxes: string;
  readonly masks: string;
}

function resultFiles(path: string | undefined): ResultFiles | undefined {
  if (path === undefined) return undefined;
  if (!path.endsWith('.json')) {
    throw new InputError(`--per-image ${path}: the name must end in .json for a model that finds objects`, {
      hint: 'For example --per-image results.json, which writes results.bbox.json and results.segm.json.',
    });
  }
  const named = (kind: string) => path.replace(/\.json$/, `.${kind}.json`);
  const files = { boxes: named('bbox'), masks: named('segm') };
  const there = Object.values(files).find((file) => existsSync(file));
  if (there === undefined) return files;
  throw new InputError(`--per-image ${path}: the file ${there} exists`, {
    hint: 'Choose another name, or remove the file.',
  });
}

function writeResults(
  { results }: DetectionCollection,
  categoryIds: readonly number[] = [],
  files: ResultFiles,
): void {
  const own = results.map((each): CocoResult => ({ ...each, categoryId: categoryIds[each.categoryId] }));
  writeCocoResults(files.boxes, own, 'boxes');
  writeCocoResults(files.masks, own, 'masks');
}

/** COCO's figures in percent; null if there are no objects that count. */
function figuresOf({ figures }: CocoEvaluation): Readonly<Record<string, number | null>> {
  return Object.fromEntries(Object.entries(figures).map(([name, figure]) => [name, known100(figure)]));
}

/** JSON has no NaN. */
function known100(figure = -1): number | null {
  const value = percent(figure);
  return Number.isNaN(value) ? null : value;
}

const MOST_SHOWN = 5;

function printWorst(
  classes: readonly { readonly name: string; readonly ap: number | null; readonly mask_ap: number | null }[],
): void {
  const worst = classes
    .flatMap(({ name, ap, mask_ap: maskAp }) => (ap === null ? [] : [{ name, ap, maskAp: maskAp ?? 0 }]))
    .filter(({ ap }) => ap < 100)
    .sort((a, b) => a.ap - b.ap)
    .slice(0, MOST_SHOWN);
  if (worst.length === 0) return;
  const rows = worst.map(({ name, ap, maskAp }) => [
    `  ${name}`,
    `AP ${ap.toFixed(2)} %`,
    `mask AP ${maskAp.toFixed(2)} %`,
  ]);
  print('', 'worst classes', ...columns(rows, 2));
}
