/** The learning rate of each optimiser step, from 0. */
export type Schedule = (step: number) => number;

export interface CosineOptions {
  /** The peak. */
  readonly lr: number;
  /** Where the warm-up begins. */
  readonly warmupLr: number;
  /** Where the cosine ends. */
  readonly minLr: number;
}

/**
 * The official schedule (timm 0.3.2's cosine, stepped once an epoch): epoch e trains with L(max(e-1, 0)), so
 * that epochs 0 and 1 share one rate; the warm-up is linear, and its epochs are not added to the cosine's.
 */
export function epochCosine(
  options: CosineOptions & {
    readonly epochs: number;
    readonly warmupEpochs: number;
    readonly stepsPerEpoch: number;
  },
): Schedule {
  const { lr, warmupLr, minLr, epochs, warmupEpochs, stepsPerEpoch } = options;
  const at = (t: number) =>
    t < warmupEpochs
      ? warmupLr + (t * (lr - warmupLr)) / warmupEpochs
      : minLr + 0.5 * (lr - minLr) * (1 + Math.cos((Math.PI * t) / epochs));
  return (step) => at(Math.max(Math.floor(step / stepsPerEpoch) - 1, 0));
}

/** For short runs: linear warm-up over `warmupSteps`, then one cosine to `minLr` at the last of `steps`. */
export function stepCosine(
  options: CosineOptions & { readonly steps: number; readonly warmupSteps: number },
): Schedule {
  const { lr, warmupLr, minLr, steps, warmupSteps } = options;
  return (step) => {
    if (step < warmupSteps) return warmupLr + ((step + 1) * (lr - warmupLr)) / warmupSteps;
    const t = (step - warmupSteps) / Math.max(steps - 1 - warmupSteps, 1);
    return minLr + 0.5 * (lr - minLr) * (1 + Math.cos(Math.PI * Math.min(t, 1)));
  };
}
