/** When a phase ends before its last step. */
export interface EarlyStopOptions {
  /** Evaluations without a better score. */
  readonly patience: number;
  /** By how much a score has to exceed the best to be better, in its own unit. Default 0. */
  readonly minDelta?: number;
}

/**
 * Tells from the scores of all evaluations so far, the oldest first (top-1, per cent), whether to stop: it depends on
 * nothing else, so that a resumed run decides as one that went through.
 *
 * @example
 * const isEnough = earlyStop({ patience: 2 });
 * isEnough([50, 61, 60, 61]); // true: two evaluations without a better one
 */
export function earlyStop(options: EarlyStopOptions): (scores: readonly number[]) => boolean {
  const { patience, minDelta = 0 } = options;
  return (scores) => {
    let best = Number.NEGATIVE_INFINITY;
    let waited = 0;
    for (const score of scores) {
      const isBetter = score > best + minDelta;
      if (isBetter) best = score;
      waited = isBetter ? 0 : waited + 1;
    }
    return waited >= patience;
  };
}
