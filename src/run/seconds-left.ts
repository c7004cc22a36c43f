/** Number of recent records from whose speed the remaining time is estimated. */
export const RECENT = 20;

/** @returns the seconds left in a phase, at the speed between two of its steps; null without a step */
export function secondsLeft(first: Place | undefined, last: Place | undefined, steps: number): number | null {
  if (first === undefined || last === undefined) return null;
  const perStep =
    last.step > first.step
      ? (last.seconds - first.seconds) / (last.step - first.step)
      : last.seconds / Math.max(last.step, 1);
  return Math.max(0, steps - last.step) * perStep;
}

interface Place {
  readonly step: number;
  /** Training seconds so far. */
  readonly seconds: number;
}
