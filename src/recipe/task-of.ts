import { decoderOf } from '../models/dense/decoder-config.js';
import type { DetectorTarget } from '../models/detection/detector-config.js';
import type { ModelConfig } from '../models/family.js';
import { balancedWeights } from '../tasks/classification/class-target.js';
import { classification } from '../tasks/classification/classification.js';
import { detection } from '../tasks/detection/detection.js';
import type { DetectionSettings } from '../tasks/detection/section.js';
import { segmentation } from '../tasks/segmentation/segmentation.js';
import type { Task } from '../training/task.js';
import type { Recipe, TrainingSettings } from './recipe-schema.js';

type LossSettings = Pick<TrainingSettings, 'label_smoothing' | 'loss' | 'bce_threshold' | 'class_weights'> & {
  /** Number of training images of each class, for balanced weights. */
  readonly classCounts?: readonly number[] | undefined;
};

/** Settings that do not matter to evaluation. */
const EVALUATION: LossSettings = {
  label_smoothing: 0,
  loss: 'cross-entropy',
  bce_threshold: null,
  class_weights: null,
};

/** The task of a recipe on a device. Without the settings of a phase: for evaluation only. */
export function taskOf(
  { data, segmentation: settings, detection: found }: Pick<Recipe, 'data' | 'segmentation' | 'detection'>,
  config: ModelConfig,
  device: string,
  training: LossSettings = EVALUATION,
): Task {
  const { channels, classes, imageSize } = config;
  const input = { channels, mean: data.mean, std: data.std, device };
  if (found !== undefined) return detection({ ...input, classes, ...detectorLimits(found) });
  const { label_smoothing: labelSmoothing, loss, bce_threshold: bceThreshold, classCounts } = training;
  const { class_weights: weights } = training;
  const classWeights = weights === 'balanced' ? classCounts && balancedWeights(classCounts) : weights;
  const decoder = decoderOf(config);
  if (decoder === undefined || settings === undefined)
    return classification({ ...input, classes, labelSmoothing, loss, bceThreshold, classWeights });
  const { scale, aux_weight: auxWeight, evaluation } = settings;
  const { window = imageSize, stride = Math.floor((2 * window) / 3) } = evaluation;
  return segmentation({
    ...input,
    classes,
    decoder,
    auxWeight,
    evaluation: {
      scale,
      mode: evaluation.mode,
      window,
      stride,
      scales: evaluation.scales,
      flip: evaluation.flip,
    },
  });
}

function detectorLimits({ training, evaluation }: DetectionSettings): Omit<DetectorTarget, 'images'> {
  const { score, nms: overlap, objects } = evaluation;
  const proposals = (limits: { readonly before_nms: number; readonly proposals: number }) => ({
    perMap: limits.before_nms,
    perImage: limits.proposals,
  });
  return {
    samples: { anchors: training.anchors, regions: training.regions },
    proposals: { train: proposals(training), eval: proposals(evaluation) },
    limits: { score, overlap, objects },
  };
}
