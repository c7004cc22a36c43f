import type { Metric, TaskMetrics } from '../../run/metric.js';
import type { ClassOverlap, Sums } from '../../training/task.js';

const MIOU: Metric = {
  name: 'miou',
  label: 'mIoU',
  title: 'Mean intersection over union',
  unit: '%',
  better: 'higher',
  isShareOfImages: false,
};

const MACC: Metric = { ...MIOU, name: 'macc', label: 'mAcc', title: 'Mean class accuracy' };

const AACC: Metric = { ...MIOU, name: 'aacc', label: 'aAcc', title: 'Pixel accuracy' };

/**
 * mmsegmentation's IoUMetric. With the pixels I that are predicted as a class and labelled with it, P predicted as it, and L
 * labelled with it, over the whole data set and without ignored pixels: IoU = I / (P + L - I) and Acc = I / L. mIoU and mAcc
 * are means over the classes for which they are defined; aAcc is the sum of I over the sum of L.
 */
export const SEGMENTATION_METRICS: TaskMetrics = {
  primary: MIOU,
  all: [MIOU, MACC, AACC],
  shown: [MIOU, MACC, AACC],
};

/** Pixels of one class. */
interface Areas {
  readonly intersection: number;
  readonly predicted: number;
  readonly labelled: number;
}

/** @returns the areas of each class as sums that can be added over images and processes */
export function areaSums(prediction: ArrayLike<number>, labels: ArrayLike<number>, classes: number): Sums {
  const areas = { i: new Float64Array(classes), p: new Float64Array(classes), l: new Float64Array(classes) };
  for (let at = 0; at < labels.length; at++) {
    const label = labels[at];
    if (label >= classes) continue;
    const predicted = prediction[at];
    areas.l[label]++;
    areas.p[predicted]++;
    if (label === predicted) areas.i[label]++;
  }
  const named = Object.entries(areas).flatMap(([kind, counts]) =>
    Array.from(counts, (count, label) => [`${kind}${label}`, count] as const),
  );
  return { loss: 0, ...Object.fromEntries(named) };
}

function areasIn(sums: Sums, classes: number): Areas[] {
  return Array.from({ length: classes }, (_, label) => ({
    intersection: sums[`i${label}`],
    predicted: sums[`p${label}`],
    labelled: sums[`l${label}`],
  }));
}

export function classOverlaps(sums: Sums, classes: number): ClassOverlap[] {
  return areasIn(sums, classes).map(({ intersection, predicted, labelled }, label) => ({
    class: label,
    iou: (100 * intersection) / (predicted + labelled - intersection),
    acc: (100 * intersection) / labelled,
    pixels: labelled,
  }));
}

export function summarizeAreas(sums: Sums, classes: number): Readonly<Record<string, number>> {
  const all = classOverlaps(sums, classes);
  const areas = areasIn(sums, classes);
  const total = (key: keyof Areas) => areas.reduce((sum, area) => sum + area[key], 0);
  return {
    miou: definedMean(all.map(({ iou }) => iou)),
    macc: definedMean(all.map(({ acc }) => acc)),
    aacc: (100 * total('intersection')) / total('labelled'),
  };
}

function definedMean(values: readonly number[]): number {
  const defined = values.filter((value) => !Number.isNaN(value));
  return defined.reduce((sum, value) => sum + value, 0) / defined.length;
}
