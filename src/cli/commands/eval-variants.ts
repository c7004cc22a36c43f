import { InputError } from '../../base/errors.js';
import { numbered } from '../../data/class-names.js';
import type { Batch, Dataset } from '../../data/dataset.js';
import type { StagedModel } from '../../models/staged.js';
import { type RealScores, readRealLabels, realCounter } from '../../tasks/classification/real-labels.js';
import { add } from '../../torch/ops.js';
import { fromArray, upload } from '../../torch/tensor.js';
import type { EvaluateOptions } from '../../training/evaluate.js';
import type { Predictions } from '../../training/task.js';
import { noteAssumed } from '../terminal/output.js';

/** Options of `eval` for other test sets of ImageNet. */
export interface VariantOptions {
  readonly realLabels?: string;
  readonly presentClasses?: true;
}

/** A model that chooses only among the classes that have images: the logits of the others are minus infinity. */
export function amongPresent(
  model: Pick<StagedModel, 'forward'>,
  {
    dataset,
    classes,
    device,
  }: { readonly dataset: Dataset; readonly classes: number; readonly device: string },
): EvaluateOptions['model'] {
  const mask = new Float32Array(classes).fill(Number.NEGATIVE_INFINITY);
  for (let i = 0; i < dataset.length; i++) mask[dataset.label(i)] = 0;
  const added = upload(fromArray(mask, [classes]), device);
  return { forward: (x, pass) => add(model.forward(x, pass), added) };
}

interface RealLabelScores {
  add(batch: Batch, predictions: Predictions): void;
  result(): RealScores;
}

/**
 * Scores an evaluation with the labels of `--real-labels`. Prints the order of the classes that it assumes, unless the classes have
 * WordNet ids.
 * @throws InputError if the classes are WordNet ids in another order than ImageNet's
 */
export function realLabelScores(path: string, dataset: Dataset): RealLabelScores {
  const { classes } = dataset;
  if (!classes.every((name) => /^n\d{8}$/.test(name))) {
    noteAssumed([`the labels of ${path} are in the order of the model's classes: ${numbered(classes)}`]);
  } else if (classes.some((name, label) => label > 0 && name < classes[label - 1])) {
    throw new InputError(`${path} has the labels of sorted WordNet ids, but the model has another order`, {
      hint: 'ReaL labels can only score models whose classes have the order of ImageNet',
    });
  }
  const counter = realCounter(readRealLabels(path, classes.length));
  return {
    add: (batch, predictions) =>
      counter.add(
        predictions,
        Array.from(batch.indices, (index) => dataset.describe(index)),
      ),
    result: counter.result,
  };
}
