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
  /** Weight of each class in the training loss, as torch's `CrossEntropyLoss(weight=)`. Default null: none. */
  readonly classWeights?: readonly number[] | null;
}

/**
 * Checks that a threshold separates the label from the other classes.
 * @throws InputError if smoothing or threshold is not within 0 ... 1, or every class or no class of an unmixed image would be
 *   a target
 */
export function requireTargets(options: TargetOptions): void {
  const { classes, labelSmoothing: smoothing = 0, loss, bceThreshold: threshold = null } = options;
  requireWithin('labelSmoothing', smoothing, 0, 1);
  requireWeights(options);
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

function requireWeights({ classes, loss, classWeights: weights }: TargetOptions): void {
  if (weights === undefined || weights === null) return;
  if (loss === 'bce') {
    throw new InputError('class_weights and loss bce cannot be combined', {
      hint: 'set loss to cross-entropy, or use data.sampling: balanced instead of class_weights',
    });
  }
  if (weights.length !== classes) {
    throw new InputError(
      `class_weights has ${weights.length} numbers, but the model has ${classes} classes`,
      {
        hint: 'list one weight for each class, in the order of the labels',
      },
    );
  }
  if (
    weights.every((weight) => Number.isFinite(weight) && weight >= 0) &&
    weights.some((weight) => weight > 0)
  )
    return;
  throw new InputError(
    `class_weights are [${weights.slice(0, 5).join(', ')}${weights.length > 5 ? ', ...' : ''}]`,
    {
      hint: 'a weight is 0 or above, and at least one is above 0',
    },
  );
}

/**
 * The weight n / (c n_k) of each class k with n_k of the n images of the c classes with images (scikit-learn's `balanced`). Classes
 * without images have the weight 0.
 * @param counts number of images of each class
 */
export function balancedWeights(counts: readonly number[]): number[] {
  const images = counts.reduce((sum, count) => sum + count, 0);
  const classes = counts.filter((count) => count > 0).length;
  return counts.map((count) => (count === 0 ? 0 : images / (classes * count)));
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
