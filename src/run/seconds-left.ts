/** The remaining time is estimated from the speed of this many recent records. */
export const RECENT = 20;

/** @returns the seconds that the rest of a phase takes at the speed between two of its steps; null without a step */
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
  /** Of training. */
  readonly seconds: number;
}
