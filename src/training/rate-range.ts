import type { Schedule } from './schedule.js';

/** A step of a learning-rate range test. */
export interface RatePoint {
  readonly lr: number;
  readonly loss: number;
}

/** Rates that rise exponentially from `from` at step 0 to `to` at step `steps - 1` (Smith 2017, arXiv 1506.01186). */
export function exponentialRates({ from, to, steps }: { from: number; to: number; steps: number }): Schedule {
  return (step) => from * (to / from) ** (steps > 1 ? step / (steps - 1) : 0);
}

/** Weight of the earlier losses in the moving average. */
const MEMORY = 0.9;

/** The exponential moving average of the losses, without bias towards 0 at the beginning. */
export function smoothedLosses(points: readonly RatePoint[]): number[] {
  let sum = 0;
  return points.map(({ loss }, i) => {
    sum = MEMORY * sum + (1 - MEMORY) * loss;
    return sum / (1 - MEMORY ** (i + 1));
  });
}

/** The loss counts as diverged above this multiple of the lowest one. */
const DIVERGED = 4;

/** Whether the loss of the last point is not finite, or the smoothed loss has risen far above its minimum. */
export function hasDiverged(points: readonly RatePoint[]): boolean {
  const losses = smoothedLosses(points);
  const last = losses[losses.length - 1];
  return points.length > 0 && !(last <= DIVERGED * Math.min(...losses));
}

export interface RateSuggestion {
  /** The rate at which the smoothed loss falls fastest, over the logarithm of the rate: a peak rate to start with. */
  readonly steepest: number;
  /** The rate with the lowest smoothed loss: rates from here on are too high. */
  readonly lowest: number;
}

/** Points on each side of a point between which its slope is measured. */
const REACH = 2;

/**
 * The rates that a range test suggests. The first tenth of the points is ignored, because the average has few losses there.
 * @returns undefined if there are too few points, or the loss never falls
 */
export function suggestedRates(points: readonly RatePoint[]): RateSuggestion | undefined {
  const finite = points.filter(({ loss }) => Number.isFinite(loss));
  const losses = smoothedLosses(finite);
  const first = Math.max(REACH, Math.floor(finite.length / 10));
  const lowest = losses.reduce((best, loss, i) => (i >= first && !(losses[best] <= loss) ? i : best), first);
  let steepest: number | undefined;
  // A change that is only rounding is no fall.
  let slope = -1e-6 * Math.abs(losses[first] ?? 0);
  for (let i = first; i <= Math.min(lowest, losses.length - 1 - REACH); i++) {
    const [before, after] = [i - REACH, i + REACH];
    const own = (losses[after] - losses[before]) / Math.log(finite[after].lr / finite[before].lr);
    if (own >= slope) continue;
    slope = own;
    steepest = i;
  }
  return steepest === undefined ? undefined : { steepest: finite[steepest].lr, lowest: finite[lowest].lr };
}
