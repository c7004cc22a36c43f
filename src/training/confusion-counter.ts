import type { Confusion } from '../run/confusion.js';
import type { Predictions } from './task.js';

/** Sparse confusion counts: only pairs of label and prediction that occur are stored. */
interface ConfusionCounter {
  add(predictions: Predictions): void;
  /** The counts so far, sorted; empty if no predictions were added. */
  counts(): Confusion['counts'];
}

export function confusionCounter(classes: number): ConfusionCounter {
  const counts = new Map<number, number>();
  return {
    add: ({ k, labels, classes: predicted }) => {
      for (const [image, label] of labels.entries()) {
        const pair = label * classes + predicted[image * k];
        counts.set(pair, (counts.get(pair) ?? 0) + 1);
      }
    },
    counts: () =>
      [...counts]
        .sort(([a], [b]) => a - b)
        .map(([pair, images]) => [Math.floor(pair / classes), pair % classes, images] as const),
  };
}

/** The class names by label; undefined if each name is only the label. */
export function classNames(names: readonly string[]): readonly string[] | undefined {
  return names.some((name, label) => name !== String(label)) ? names : undefined;
}
