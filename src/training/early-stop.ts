import { isBetter, type Metric } from '../run/metric.js';

/** Condition for ending a phase before its last step. */
export interface EarlyStopOptions {
  /** Number of evaluations without a better score after which the phase ends. */
  readonly patience: number;
  /** Minimum improvement over the best score, in the score's unit. Default 0. */
  readonly minDelta?: number;
  /** Whether higher or lower scores are better. Default higher. */
  readonly better?: Metric['better'];
}

/**
 * Decides whether to stop, from the scores of all evaluations so far, the oldest first. It depends on nothing else, so a
 * resumed run decides the same as an uninterrupted run.
 *
 * @example
 * const isEnough = earlyStop({ patience: 2 });
 * isEnough([50, 61, 60, 61]); // true: two evaluations without a better one
 */
export function earlyStop(options: EarlyStopOptions): (scores: readonly number[]) => boolean {
  const { patience, minDelta = 0, better = 'higher' } = options;
  return (scores) => {
    let best: number | undefined;
    let waited = 0;
    for (const score of scores) {
      const isBest = best === undefined || isBetter({ better }, score, best, minDelta);
      if (isBest) best = score;
      waited = isBest ? 0 : waited + 1;
    }
    return waited >= patience;
  };
}
