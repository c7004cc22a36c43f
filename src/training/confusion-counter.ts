import type { Confusion } from '../run/confusion.js';
import type { Predictions } from './task.js';

/** Counts what images are taken for, sparsely: of a thousand classes only the pairs that occur. */
export interface ConfusionCounter {
  add(predictions: Predictions): void;
  /** The counts so far; none where no task has told. */
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

/** The names of classes by their labels, where they are more than the labels themselves. */
export function classNames(names: readonly string[]): readonly string[] | undefined {
  return names.some((name, label) => name !== String(label)) ? names : undefined;
}
