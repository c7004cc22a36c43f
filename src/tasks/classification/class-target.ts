import { InputError } from '../../base/errors.js';
import { requireWithin } from '../../base/numbers.js';

/**
 * The training loss. `cross-entropy`: of the softmax. `bce`: binary cross-entropy of each class's sigmoid, the mean over
 * images and classes (timm's BinaryCrossEntropy, DeiT-III's `--bce-loss`).
 */
export type ClassLoss = 'cross-entropy' | 'bce';

export interface TargetOptions {
  readonly classes: number;
  /** Share of the target that is spread evenly over all classes. Default 0. */
  readonly labelSmoothing?: number;
  /** Default cross-entropy. */
  readonly loss?: ClassLoss;
  /**
   * For `bce`: classes whose target is above it have the target 1, all others 0. Default null: the targets stay as they
   * are. DeiT-III's is 0: both classes of a mixed image are targets.
   */
  readonly bceThreshold?: number | null;
}

/**
 * Checks that a threshold separates the label from the other classes.
 * @throws InputError if smoothing or threshold is not within 0 ... 1, or every class or no class of an unmixed image would be
 *   a target
 */
export function requireTargets(options: TargetOptions): void {
  const { classes, labelSmoothing: smoothing = 0, loss, bceThreshold: threshold = null } = options;
  requireWithin('labelSmoothing', smoothing, 0, 1);
  if (loss !== 'bce' || threshold === null) return;
  requireWithin('bceThreshold', threshold, 0, 1);
  const other = smoothing / classes;
  const wrong =
    other > threshold ? 'every class' : 1 - smoothing + other <= threshold ? 'no class' : undefined;
  if (wrong === undefined) return;
  throw new InputError(
    `with bce_threshold ${threshold} and label_smoothing ${smoothing}, ${wrong} would be a target`,
    { hint: 'set label_smoothing to 0, or choose another bce_threshold' },
  );
}

/**
 * The targets of all classes, [B x classes] row by row: lambda T(label) + (1 - lambda) T(partner's label). T smooths: 1 - s +
 * s/classes for the label, s/classes elsewhere. The partner is the image at the same place from the end of the batch.
 */
export function denseTargets(labels: Int32Array, lambda: number, options: TargetOptions): Float64Array {
  const { classes, labelSmoothing: smoothing = 0, loss, bceThreshold: threshold = null } = options;
  const targets = new Float64Array(labels.length * classes).fill(smoothing / classes);
  for (const [i, label] of labels.entries()) {
    targets[i * classes + label] += (1 - smoothing) * lambda;
    targets[i * classes + labels[labels.length - 1 - i]] += (1 - smoothing) * (1 - lambda);
  }
  return loss !== 'bce' || threshold === null ? targets : targets.map((each) => (each > threshold ? 1 : 0));
}
