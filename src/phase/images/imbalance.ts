import { type Dataset, isClassified } from '../../data/dataset.js';
import { classCountsOf } from '../../data/loader/sampler.js';
import type { Phase } from '../../recipe/phase.js';

type Balancing = Pick<Phase, 'data' | 'settings'>;

/** From this number of times the images of the smallest class on, the largest class is reported. */
const IMBALANCED = 10;

/**
 * A warning for training images whose largest class has at least ten times the images of the smallest; classes without images do
 * not count. Undefined if every phase has balanced sampling or class weights.
 */
export function imbalanceLine(phases: readonly Balancing[], train: Dataset): string | undefined {
  // The labels of pixels and objects are not counted.
  if (!isClassified(train)) return undefined;
  const isRemedied = ({ data, settings }: Balancing) =>
    data.sampling === 'balanced' || settings.class_weights !== null;
  if (phases.every(isRemedied)) return undefined;
  const counts = classCountsOf(train);
  const bySize = [...counts.keys()]
    .filter((label) => counts[label] > 0)
    .sort((a, b) => counts[a] - counts[b] || a - b);
  const [least, most] = [bySize[0], bySize[bySize.length - 1]];
  const ratio = counts[most] / counts[least];
  if (!(ratio >= IMBALANCED)) return undefined;
  const named = (label: number) => `${train.classes[label]} (${counts[label].toLocaleString('en-US')})`;
  return (
    `warning: imbalanced classes: ${named(most)} has ${ratio.toFixed(0)} times the training images of ${named(least)}; ` +
    'consider data.sampling: balanced or training.class_weights: balanced'
  );
}
