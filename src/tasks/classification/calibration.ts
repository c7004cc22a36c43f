import type { Predictions } from '../../training/task.js';

/** Number of bins of equal width; 15 as in Guo et al. 2017 and in torchmetrics. */
const BINS = 15;

/** Images whose confidence, the probability of the predicted class, is within a bin: from `from` up to, but without, `to`. */
interface ReliabilityBin {
  readonly from: number;
  readonly to: number;
  readonly images: number;
  /** Mean confidence, 0 to 1; null without images. */
  readonly confidence: number | null;
  /** Share of correct predictions, 0 to 1; null without images. */
  readonly accuracy: number | null;
}

export interface Calibration {
  /**
   * Expected calibration error, 0 to 1: the mean over all images of |accuracy - confidence| of their bin (Guo et al. 2017, arXiv
   * 1706.04599).
   */
  readonly ece: number;
  /** The largest |accuracy - confidence| of a bin with images. */
  readonly mce: number;
  readonly bins: readonly ReliabilityBin[];
}

/** Collects the predictions of batches. */
export interface CalibrationCounter {
  add(predictions: Predictions): void;
  /** Undefined without images. */
  result(): Calibration | undefined;
}

export function calibrationCounter(bins = BINS): CalibrationCounter {
  const images = new Float64Array(bins + 1);
  const confidences = new Float64Array(bins + 1);
  const hits = new Float64Array(bins + 1);
  // In float32 as in torchmetrics, where a confidence that rounds to 1 is in a bin of its own.
  const edges = Array.from({ length: bins + 1 }, (_, i) => Math.fround(i / bins));
  return {
    add: ({ k, labels, classes, probabilities }) => {
      for (const [i, label] of labels.entries()) {
        const confidence = Math.fround(probabilities[i * k]);
        const next = edges.findIndex((edge) => edge > confidence);
        const bin = next < 0 ? bins : next - 1;
        images[bin]++;
        confidences[bin] += confidence;
        hits[bin] += classes[i * k] === label ? 1 : 0;
      }
    },
    result: () => {
      const total = images.reduce((sum, count) => sum + count, 0);
      if (total === 0) return undefined;
      // The last entry has the images of confidence 1.
      const gaps = Array.from(images, (count, bin) =>
        count === 0 ? 0 : Math.abs(hits[bin] - confidences[bin]) / count,
      );
      return {
        ece: gaps.reduce((sum, gap, bin) => sum + (gap * images[bin]) / total, 0),
        mce: Math.max(...gaps),
        bins: Array.from(images, (count, bin) => ({
          from: bin / bins,
          to: Math.min((bin + 1) / bins, 1),
          images: count,
          confidence: count === 0 ? null : confidences[bin] / count,
          accuracy: count === 0 ? null : hits[bin] / count,
        })),
      };
    },
  };
}
