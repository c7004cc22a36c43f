import type { Metric, TaskMetrics } from '../../run/metric.js';

const TOP_1: Metric = {
  name: 'top1',
  label: 'top-1',
  title: 'Top-1 accuracy',
  unit: '%',
  better: 'higher',
  isShareOfImages: true,
};

const TOP_5: Metric = { ...TOP_1, name: 'top5', label: 'top-5', title: 'Top-5 accuracy' };

/**
 * Top-1 and top-5 accuracy: the share of images whose label has the highest logit, or one of the five highest.
 * @param classes number of classes, if known; with five or fewer, top-5 is always 100 % and is not shown
 */
export function classificationMetrics(classes?: number): TaskMetrics {
  const hasTop5 = classes === undefined || classes > 5;
  return { primary: TOP_1, all: [TOP_1, TOP_5], shown: hasTop5 ? [TOP_1, TOP_5] : [TOP_1] };
}

/** The metrics by name, from the numbers of images whose label has the highest score, and one of the five highest. */
export function accuracies(
  [first, firstFive]: readonly [first: number, firstFive: number],
  images: number,
): Readonly<Record<string, number>> {
  return { [TOP_1.name]: (100 * first) / images, [TOP_5.name]: (100 * firstFive) / images };
}
