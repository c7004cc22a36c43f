import type { Metric, TaskMetrics } from '../../run/metric.js';
import type { CocoFigure } from './coco-evaluate.js';
import type { CocoKind } from './coco-iou.js';

const AP: Metric = {
  name: 'ap',
  label: 'AP',
  title: 'Average precision of boxes',
  unit: '%',
  better: 'higher',
  isShareOfImages: false,
};

const AP50: Metric = { ...AP, name: 'ap50', label: 'AP50', title: 'Average precision of boxes at IoU 0.5' };
const AP75: Metric = { ...AP, name: 'ap75', label: 'AP75', title: 'Average precision of boxes at IoU 0.75' };
const MASK_AP: Metric = { ...AP, name: 'mask_ap', label: 'mask AP', title: 'Average precision of masks' };
const MASK_AP50: Metric = {
  ...AP,
  name: 'mask_ap50',
  label: 'mask AP50',
  title: 'Average precision of masks at IoU 0.5',
};
const MASK_AP75: Metric = {
  ...AP,
  name: 'mask_ap75',
  label: 'mask AP75',
  title: 'Average precision of masks at IoU 0.75',
};

/** COCO's average precision of boxes and masks, in percent: see `cocoEvaluate`. */
export const DETECTION_METRICS: TaskMetrics = {
  primary: AP,
  all: [AP, AP50, AP75, MASK_AP, MASK_AP50, MASK_AP75],
  shown: [AP, AP50, AP75, MASK_AP, MASK_AP50, MASK_AP75],
};

/** The metric of each of COCO's figures that is one. */
export const METRIC_OF: Readonly<Record<CocoKind, Partial<Record<CocoFigure, Metric>>>> = {
  boxes: { AP, AP50, AP75 },
  masks: { AP: MASK_AP, AP50: MASK_AP50, AP75: MASK_AP75 },
};
