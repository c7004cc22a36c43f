import { InputError } from '../../base/errors.js';
import { labelledEvalBatch, labelledTrainBatch } from '../../data/label-maps/batches.js';
import { decoderOf } from '../../models/dense/decoder-config.js';
import { CLASSIFIER_KEYS, type TaskKind } from '../../training/task-kind.js';
import { SEGMENTATION_METRICS } from './metrics.js';
import { type SegmentationSettings, segmentationSection } from './section.js';
import { segmentation } from './segmentation.js';

/** A class for each pixel. */
export const segmentationKind: TaskKind<SegmentationSettings> = {
  name: 'segmentation',
  does: 'labels pixels',
  section: segmentationSection,
  metrics: () => SEGMENTATION_METRICS,
  make({ config, mean, std, device, settings }) {
    const { channels, classes, imageSize } = config;
    const decoder = decoderOf(config);
    if (decoder === undefined) throw new RangeError('a model that labels pixels has a decoder');
    const { scale, aux_weight: auxWeight, evaluation } = settings;
    const { mode, scales, flip, window = imageSize, stride = Math.floor((2 * window) / 3) } = evaluation;
    return segmentation({
      channels,
      mean,
      std,
      device,
      classes,
      decoder,
      auxWeight,
      evaluation: { scale, mode, window, stride, scales, flip },
    });
  },

  card: {
    pipeline: 'image-segmentation',
    title: 'Image Segmentation',
    purpose: 'semantic segmentation',
    loss: 'cross-entropy',
    metric: 'mean_iou',
  },
  unsupported: CLASSIFIER_KEYS,
  checkPhase({ name, settings, regimes, config, taskSettings }, source) {
    requireCovered(taskSettings.evaluation, config.imageSize, source);
    if (settings.batch_size > 1 || regimes.at(-1) !== 'trained') return;
    throw new InputError(`${source}: ${name}: batch_size 1 is too small for the decoder's batch norm`, {
      hint: 'pooling to one pixel leaves one value for each channel: set batch_size to at least 2',
    });
  },
  labelSmoothing: 0,
  decoder: { kind: 'upernet' },
  annotations: {
    format: 'ade20k',
    name: 'label maps',
    each: 'pixel',
    predict: 'writes its label maps, with --out',
    page: 'docs/segmentation.md',
    report: {
      panels: 'the image, its labels, and the prediction. Pixels without a label have no colour.',
      labels: 'labels',
      columns: [
        { key: 'iou', heading: 'IoU' },
        { key: 'acc', heading: 'accuracy' },
        { key: 'pixels', heading: 'labelled pixels' },
      ],
    },
    trainBatch({ scale, augment }, { classes, imageSize: crop }) {
      const { ratio, cat_max_ratio: catMaxRatio, flip, photometric } = augment;
      return labelledTrainBatch(classes, { crop, scale, ratio, catMaxRatio, flip, photometric });
    },
    evalBatch: (_, { classes }) => labelledEvalBatch(classes),
    evaluation: ({ evaluation }) => evaluation,
    random: ({ size, side, classes }, random) => ({
      labelMaps: random(size * side * side).map((label) => label % classes),
    }),
  },
};

/** @throws InputError if pixels between two windows would have no prediction */
function requireCovered(
  { mode, window, stride }: SegmentationSettings['evaluation'],
  imageSize: number,
  source: string,
): void {
  const side = window ?? imageSize;
  if (mode !== 'slide' || stride === undefined || stride <= side) return;
  throw new InputError(
    `${source}: segmentation.evaluation.stride ${stride} is larger than the window of ${side} pixels`,
    { hint: 'pixels between the windows would not be evaluated: two thirds of the window is usual' },
  );
}
