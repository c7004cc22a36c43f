import type { TaskKind } from '../../training/task-kind.js';
import { balancedWeights } from './class-target.js';
import { classification } from './classification.js';
import { classificationMetrics } from './metrics.js';

/** One class for each image. */
export const classificationKind: TaskKind = {
  name: 'classification',
  does: 'classifies images',
  metrics: classificationMetrics,
  make({ config, mean, std, device, training }) {
    const { channels, classes } = config;
    const { label_smoothing: labelSmoothing, loss, bce_threshold: bceThreshold, classCounts } = training;
    const { class_weights: weights } = training;
    const classWeights = weights === 'balanced' ? classCounts && balancedWeights(classCounts) : weights;
    return classification({
      channels,
      mean,
      std,
      device,
      classes,
      labelSmoothing,
      loss,
      bceThreshold,
      classWeights,
    });
  },
  card: {
    pipeline: 'image-classification',
    title: 'Image Classification',
    purpose: 'image classification',
    loss: 'cross-entropy',
    metric: 'accuracy',
  },
  unsupported: [],
};
