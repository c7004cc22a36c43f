import { InputError } from '../../base/errors.js';
import { type Batch, decodedAs } from '../../data/dataset.js';
import { evalBatches } from '../../data/loader/loader.js';
import type { OpenEvalOptions } from '../../data/open/open-dataset.js';
import { passedOverLine } from '../../data/passed-over.js';
import type { SplitChoice } from '../../data/splits.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import { loadModel } from '../../launch/start/loaded-model.js';
import { type ModelOfCheckpoint, modelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { familyOf } from '../../models/families/families.js';
import { modelConfigOf } from '../../recipe/recipe-model.js';
import { EVAL_LOSS, significant } from '../../report/format.js';
import { accuracyText } from '../../report/summary-text.js';
import { accuracyInterval, intervalField } from '../../report/uncertainty.js';
import type { Confusion } from '../../run/confusion.js';
import { type Metric, type Scored, scoreOf, scoreText, type TaskMetrics } from '../../run/metric.js';
import { type Calibration, calibrationCounter } from '../../tasks/classification/calibration.js';
import { classScores, confusions, labelName, worstClasses } from '../../tasks/classification/class-scores.js';
import type { RealScores } from '../../tasks/classification/real-labels.js';
import { classNames, confusionCounter } from '../../training/confusion-counter.js';
import { type Evaluation, evaluate } from '../../training/evaluate.js';
import type { Predictions } from '../../training/task.js';
import type { WeightsKind } from '../../weights/layout/weights-choice.js';
import { knownClasses, labelledImages } from '../checkpoint/classes.js';
import { openCheckpoint } from '../checkpoint/open-checkpoint.js';
import { columns, note, noteAssumed, print, printJson, toTerminal } from '../terminal/output.js';
import { amongPresent, realLabelScores, type VariantOptions } from './eval-variants.js';
import { requireFiniteLoss } from './finite-loss.js';
import { labelledPredictions, perImageFile } from './per-image.js';
import { commandsOf } from './task-commands.js';

interface EvalOptions extends VariantOptions {
  readonly data: string;
  readonly split?: SplitChoice | 'held-out';
  readonly recipe?: string;
  readonly set?: readonly string[];
  readonly classes?: string;
  readonly batchSize: number;
  readonly batchMean?: true;
  readonly weights?: WeightsKind;
  readonly perImage?: string;
  readonly top: number;
  readonly json?: true;
}

/** `eval`: evaluates a checkpoint on a folder of images. */
export async function evaluateCheckpoint(name: string, options: EvalOptions): Promise<void> {
  const checkpoint = await openCheckpoint(name, options.weights);
  const known = modelOfCheckpoint(checkpoint, { recipe: options.recipe, settings: options.set ?? [] });
  for (const line of known.differences) note(line);
  noteAssumed(known.assumptions);
  const { recipe } = known;
  const own = await commandsOf(recipe);
  if (own !== undefined) return own.evaluate(checkpoint, known, options);
  const perImage = perImageFile(options.perImage);
  const config = modelConfigOf(recipe);
  const { category } = recipe.data;
  const classes = knownClasses(checkpoint, { count: config.classes, stated: options.classes, category });
  const { top } = options;
  const part = evaluatedPart(checkpoint, options);
  const { dataset: found, missing } = labelledImages(options.data, { model: classes, category, ...part });
  for (const each of found.passedOver ?? []) note(passedOverLine(each));
  const dataset = decodedAs(found, recipe.data);

  const { model, task, evaluation, device, precision } = loadModel(checkpoint, known, note);
  if (task.predict === undefined) requireNoPredictions(options, checkpoint);
  const batchLosses: number[] = [];
  const batches = counted(
    evalBatches({ dataset, batchSize: options.batchSize, ...evaluation }),
    dataset.length,
  );

  const started = performance.now();
  const real = options.realLabels === undefined ? undefined : realLabelScores(options.realLabels, dataset);
  const counter = confusionCounter(config.classes);
  const calibration = calibrationCounter();
  const named = classNames(dataset.classes);
  const onPredicted = (batch: Batch, predictions: Predictions) => {
    counter.add(predictions);
    calibration.add(predictions);
    real?.add(batch, predictions);
    const rows = labelledPredictions({ dataset, batch, predictions, names: named });
    perImage?.add(rows.map((row) => ({ ...row, predictions: row.predictions.slice(0, top) })));
  };
  const scores = await evaluate({
    model: options.presentClasses ? amongPresent(model, { dataset, classes: config.classes, device }) : model,
    task,
    batches,
    precision,
    device,
    top: real === undefined ? perImage && top : Math.max(5, top),
    onPredicted,
    onScored: ({ loss }, images) => batchLosses.push(loss / images),
  }).catch((error) => {
    perImage?.discard();
    throw error;
  });
  perImage?.close();
  const seconds = (performance.now() - started) / 1000;
  requireFiniteLoss(scores.loss, checkpoint);
  const scored = { counts: counter.counts(), ...(named && { names: named }) };
  const { metrics } = task;
  const result = {
    ...scoresWithInterval(scores, metrics.primary),
    ...(options.batchMean && { loss_batch_mean: meanOf(batchLosses) }),
    checkpoint: checkpoint.name,
    data: options.data,
    split: options.split,
    model: modelFacts(known),
    ...(checkpoint.file.chosen && { weights: checkpoint.file.chosen.kind }),
    ...(options.presentClasses && { present_classes: config.classes - missing.length }),
    ...(real && { real: real.result() }),
    eval_crop: recipe.data.eval_crop,
    device,
    precision,
    seconds,
    images_per_second: scores.images / seconds,
    class_names_from: classes.named?.from ?? null,
    classes_without_images: missing,
    classes: classScores(scored),
    confusions: confusions(scored),
    calibration: calibration.result() ?? null,
  };
  if (options.json) printJson(result);
  else {
    printResult(result, metrics);
    printMistakes(scored);
  }
}

/** The part to evaluate on. Prints a note if the run itself was evaluated on other images. */
function evaluatedPart(
  { name, manifest }: CheckpointFile,
  { split }: Pick<EvalOptions, 'split'>,
): Pick<OpenEvalOptions, 'split' | 'heldOut'> {
  const heldOut = manifest?.data?.split;
  if (split !== 'held-out') {
    const isOther = heldOut !== undefined && split === undefined;
    if (isOther)
      note('the run was evaluated on held-out training images (data.split): --split held-out selects them');
    return { split };
  }
  if (heldOut !== undefined) return { heldOut };
  throw new InputError(`--split held-out: ${name} does not record a data.split`, {
    hint: 'Only a run whose recipe has data.split holds out training images: choose --split val or train.',
  });
}

/** @throws InputError naming an option that needs predictions of classes */
function requireNoPredictions(
  { perImage, realLabels, presentClasses }: EvalOptions,
  { name }: CheckpointFile,
): void {
  const given = { '--per-image': perImage, '--real-labels': realLabels, '--present-classes': presentClasses };
  const [refused] = Object.entries(given).find(([, value]) => value !== undefined) ?? [];
  if (refused === undefined) return;
  throw new InputError(`${refused} is not supported: the task of ${name} predicts no class of an image`, {
    hint: 'remove it',
  });
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Shows the progress of the evaluation on a terminal. */
async function* counted(batches: AsyncIterable<Batch>, images: number): AsyncIterable<Batch> {
  const { stderr } = process;
  let seen = 0;
  try {
    for await (const batch of batches) {
      if (stderr.isTTY) stderr.write(toTerminal(`\r${seen} of ${images} images`));
      yield batch;
      seen += batch.size;
    }
  } finally {
    if (stderr.isTTY) stderr.write(toTerminal('\r\x1b[K'));
  }
}

function modelFacts({ recipe, depths }: ModelOfCheckpoint) {
  const config = modelConfigOf(recipe);
  return { depths, classes: config.classes, ...familyOf(recipe.model).describe(config) };
}

const MOST_SHOWN = 5;

/** Prints the worst classes and the most frequent confusions. */
function printMistakes(scored: Pick<Confusion, 'names' | 'counts'>): void {
  const worst = worstClasses(scored, MOST_SHOWN).filter(({ top1 }) => top1 < 100);
  const pairs = confusions(scored, MOST_SHOWN);
  if (worst.length === 0) return;
  const name = (label: number) => labelName(scored, label);
  const count = (images: number) => `${images.toLocaleString('en-US')} image${images === 1 ? '' : 's'}`;
  print(
    '',
    'worst classes',
    ...columns(
      worst.map((score) => [
        `  ${name(score.class)}`,
        `${score.top1.toFixed(2)} %`,
        `of ${count(score.images)}`,
      ]),
      1,
    ),
    '',
    'most frequent confusions',
    ...columns(
      pairs.map(([target, predicted, images]) => [
        `  ${name(target)}`,
        `predicted as ${name(predicted)}`,
        count(images),
      ]),
      2,
    ),
  );
}

/** The scores with the interval of the primary metric. */
function scoresWithInterval(scores: Evaluation, primary: Metric) {
  const { images, loss } = scores;
  const right = Math.round((scoreOf(scores, primary) / 100) * images);
  const interval = primary.isShareOfImages ? accuracyInterval({ images, right }) : undefined;
  return { ...scores, ...intervalField(primary, interval), images, loss };
}

interface Result extends Scored {
  readonly images: number;
  readonly loss: number;
  readonly loss_batch_mean?: number;
  readonly checkpoint: string;
  readonly data: string;
  readonly device: string;
  readonly images_per_second: number;
  readonly calibration: Calibration | null;
  readonly real?: RealScores;
  readonly present_classes?: number;
}

function printResult(result: Result, { shown }: TaskMetrics): void {
  const rows = [
    ['checkpoint', result.checkpoint],
    ['images', `${result.images.toLocaleString('en-US')} of ${result.data}`],
    ...(result.present_classes === undefined
      ? []
      : [['compared classes', `${result.present_classes}, those with images`]]),
    ...shown.map((metric) => [metric.label, accuracyText(result, metric)]),
    [EVAL_LOSS, result.loss.toFixed(4)],
    ...(result.loss_batch_mean === undefined
      ? []
      : [[`${EVAL_LOSS}, mean of batch means`, result.loss_batch_mean.toFixed(4)]]),
    ...(result.calibration === null
      ? []
      : [['calibration error', `${(100 * result.calibration.ece).toFixed(2)} points (ECE, 15 bins)`]]),
    ...(result.real === undefined ? [] : realRows(result.real, shown)),
    ['eval speed', `${significant(result.images_per_second)} images/s on ${result.device}`],
  ];
  print(...columns(rows, 2));
}

function realRows(real: RealScores, shown: readonly Metric[]): string[][] {
  const count = (value: number) => value.toLocaleString('en-US');
  return [
    ['images with ReaL labels', `${count(real.images)} (${count(real.without_labels)} without are left out)`],
    ...shown.map((metric) => [`ReaL ${metric.label}`, scoreText(metric, scoreOf(real, metric))]),
  ];
}
