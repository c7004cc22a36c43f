import { objectsEvalBatch, objectsTrainBatch } from '../../data/objects/batches.js';
import type { ObjectsInImage } from '../../data/objects.js';
import { type DetectorTarget, detectorMultiple } from '../../models/detection/detector-config.js';
import type { ModelConfig } from '../../models/family.js';
import { CLASSIFIER_KEYS, type TaskKind } from '../../training/task-kind.js';
import { detection } from './detection.js';
import { DETECTION_METRICS } from './metrics.js';
import { type DetectionSettings, detectionSection } from './section.js';

/** The objects of each image, with boxes and masks. */
export const detectionKind: TaskKind<DetectionSettings> = {
  name: 'detection',
  does: 'finds objects',
  section: detectionSection,
  metrics: () => DETECTION_METRICS,
  make({ config: { channels, classes }, mean, std, device, settings }) {
    return detection({ channels, mean, std, device, classes, ...detectorLimits(settings) });
  },

  card: {
    pipeline: 'object-detection',
    title: 'Object Detection',
    purpose: 'object detection and instance segmentation',
    loss: 'sum of five terms',
  },
  unsupported: CLASSIFIER_KEYS,
  labelSmoothing: 0,
  decoder: { kind: 'mask-rcnn', model: { class_token: false } },
  annotations: {
    format: 'coco',
    name: 'annotations',
    each: 'object',
    predict: 'finds them',
    page: 'docs/detection.md',
    report: {
      panels:
        'the image, its annotations, and the objects that were found with a score of at least 50 %, each with box and mask.',
      labels: 'annotations',
      columns: [
        { key: 'ap', heading: 'AP of boxes' },
        { key: 'mask_ap', heading: 'AP of masks' },
        { key: 'objects', heading: 'objects' },
      ],
    },
    trainBatch({ scale: [long], augment }, config) {
      const { scales: short, flip, crop, largest } = augment;
      const policy = crop && { prob: crop.prob, short: crop.scales, size: crop.size };
      return objectsTrainBatch({ long, short, flip, crop: policy, largest }, multipleOf(config));
    },
    evalBatch: ({ scale }, config) => objectsEvalBatch(scale, multipleOf(config)),
    evaluation: ({ evaluation }) => evaluation,
    random: ({ size, side, classes }) => ({
      objects: Array.from({ length: size }, (_, i) => randomImage(side, i % classes)),
    }),
  },
};

/** As many objects as an image of COCO has on average; where they are hardly matters to the time of a step. */
const OBJECTS = 7;

function randomImage(side: number, label: number): ObjectsInImage {
  const corners = Array.from({ length: OBJECTS }, (_, i) => (side * i) / (2 * OBJECTS));
  const boxes = corners.map((at) => [at, at, at + side / 4, at + side / 3]);
  return {
    width: side,
    height: side,
    boxes: Float32Array.from(boxes.flat()),
    classes: boxes.map(() => label),
    masks: boxes.map(([x0, y0, x1, y1]) => [[x0, y0, x1, y0, x1, y1, x0, y1]]),
  };
}

/** Both sides of the padded images are a multiple of this, in pixels. */
function multipleOf(config: ModelConfig): number {
  const { patchSize } = config as { readonly patchSize?: number };
  return detectorMultiple(patchSize ?? 16);
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
