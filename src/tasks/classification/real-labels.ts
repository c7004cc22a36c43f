import { z } from 'zod';
import { InputError } from '../../base/errors.js';
import type { Scored } from '../../run/metric.js';
import { readJson } from '../../run/run-folder.js';
import type { Predictions } from '../../training/task.js';
import { accuracies } from './metrics.js';

/** ReaL labels of an image: every label that is right; none if annotators found no class in it. */
export type RealLabels = (image: string) => readonly number[];

const schema = z.array(z.array(z.int().min(0)));

/**
 * Reads `real.json` of "Are we done with ImageNet?" (arXiv 2006.07159): a list of labels for each image of ImageNet's validation set,
 * in the order of their numbers. The number in an image's name selects its list, so that a part of the images is enough.
 * @param count number of classes of the model
 * @throws InputError if the file has another form, or labels that the model does not have
 */
export function readRealLabels(path: string, count: number): RealLabels {
  const parsed = schema.safeParse(readJson(path));
  if (!parsed.success) {
    throw new InputError(`${path} is not a list with a list of labels for each image`, {
      hint: 'expected real.json of https://github.com/google-research/reassessed-imagenet',
    });
  }
  const lists = parsed.data;
  const largest = lists.reduce((most, list) => Math.max(most, ...list), 0);
  if (largest >= count) {
    throw new InputError(`${path} has label ${largest}, but the model has ${count} classes`, {
      hint: 'ReaL labels are for models with the 1000 classes of ImageNet',
    });
  }
  return (image) => {
    const [, digits] = /ILSVRC2012_val_(\d{8})(?!\d)/.exec(image) ?? [];
    const list = lists[Number(digits) - 1];
    if (list !== undefined) return list;
    const why =
      digits === undefined
        ? 'its name has no number like ILSVRC2012_val_00000001'
        : `its last is ${lists.length}`;
    throw new InputError(`${path} has no labels for ${image}: ${why}`, {
      hint: 'ReaL labels belong to the validation images of ImageNet under their own names',
    });
  };
}

/** Also has the metrics of a classifier by name: the prediction, or one of the five most likely classes, is one of the labels. */
export interface RealScores extends Scored {
  /** Number of images with labels. */
  readonly images: number;
  /** Number of images without labels, which are left out. */
  readonly without_labels: number;
}

/** Counts the predictions that are among the labels of their image. */
export function realCounter(labelsOf: RealLabels) {
  let [images, without, first, five] = [0, 0, 0, 0];
  return {
    /** @param names of the images of a batch; the predictions must be the five most likely classes or more */
    add({ k, classes }: Pick<Predictions, 'k' | 'classes'>, names: readonly string[]): void {
      for (const [slot, name] of names.entries()) {
        const labels = labelsOf(name);
        if (labels.length === 0) {
          without++;
          continue;
        }
        const hit = [...classes.subarray(slot * k, slot * k + Math.min(5, k))].findIndex((each) =>
          labels.includes(each),
        );
        images++;
        if (hit === 0) first++;
        if (hit >= 0) five++;
      }
    },
    result: (): RealScores => ({ ...accuracies([first, five], images), images, without_labels: without }),
  };
}
