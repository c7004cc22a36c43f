/** The learning rate of each optimiser step, counted from 0. */
export type Schedule = (step: number) => number;

export interface WarmupOptions {
  /** The peak learning rate. */
  readonly lr: number;
  /** The learning rate at the start of the warm-up. */
  readonly warmupLr: number;
}

export interface CosineOptions extends WarmupOptions {
  /** The learning rate at the end of the schedule. */
  readonly minLr: number;
}

/** A schedule over `steps` steps, of which the first `warmupSteps` are a linear warm-up. */
export interface StepOptions extends CosineOptions {
  readonly steps: number;
  readonly warmupSteps: number;
}

/** A schedule that is constant within an epoch. */
export interface EpochOptions extends CosineOptions {
  readonly epochs: number;
  readonly warmupEpochs: number;
  readonly stepsPerEpoch: number;
}

/**
 * The official schedule (timm 0.3.2's cosine, stepped once per epoch): epoch e trains with L(max(e-1, 0)), so epochs 0 and 1
 * have the same rate. The warm-up is linear, and its epochs are part of the cosine's, not added to them.
 *
 * @example
 * const lr = epochCosine({ lr: 1e-3, warmupLr: 1e-6, minLr: 1e-6, epochs: 300, warmupEpochs: 5, stepsPerEpoch: 100 });
 * lr(0); // 1e-6
 */
export function epochCosine(options: EpochOptions): Schedule {
  const { lr, warmupLr, minLr, epochs, warmupEpochs, stepsPerEpoch } = options;
  const at = (t: number) =>
    t < warmupEpochs
      ? warmupLr + (t * (lr - warmupLr)) / warmupEpochs
      : minLr + 0.5 * (lr - minLr) * (1 + Math.cos((Math.PI * t) / epochs));
  return (step) => at(Math.max(Math.floor(step / stepsPerEpoch) - 1, 0));
}

/**
 * The schedule of InfoPro's code (Wang et al. 2021) for CIFAR: constant within an epoch. With e epochs counted from 1, the
 * cosine is C(e) = minLr + 0.5 (lr - minLr) (1 + cos(pi e / epochs)), so the last epoch has `minLr`. In the w warm-up epochs,
 * the rate is C(e) (e - 1)/w + warmupLr (w + 1 - e)/w.
 *
 * @example
 * const lr = blendedCosine({ lr: 0.1, warmupLr: 0.01, minLr: 0, epochs: 160, warmupEpochs: 10, stepsPerEpoch: 390 });
 * lr(0); // 0.01
 */
export function blendedCosine(options: EpochOptions): Schedule {
  const { lr, warmupLr, minLr, epochs, warmupEpochs, stepsPerEpoch } = options;
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch) + 1;
    const cosine = minLr + 0.5 * (lr - minLr) * (1 + Math.cos((Math.PI * Math.min(epoch, epochs)) / epochs));
    if (epoch > warmupEpochs) return cosine;
    const share = (epoch - 1) / warmupEpochs;
    return cosine * share + warmupLr * (1 - share);
  };
}

/**
 * For short runs: linear warm-up over `warmupSteps`, then one cosine down to `minLr` at the last step.
 *
 * @example
 * const lr = stepCosine({ lr: 1e-3, warmupLr: 0, minLr: 1e-6, steps: 100, warmupSteps: 10 });
 * lr(9); // 1e-3
 */
export function stepCosine(options: StepOptions): Schedule {
  const { lr, minLr } = options;
  return warmedUp(
    options,
    (step) => minLr + 0.5 * (lr - minLr) * (1 + Math.cos(Math.PI * progress(step, options))),
  );
}

/**
 * Linear warm-up, then minLr + (lr - minLr) (1 - t)^power, with t from 0 to 1 at the last step.
 *
 * @example
 * const lr = polynomial({ lr: 1e-3, warmupLr: 0, minLr: 1e-6, steps: 100, warmupSteps: 10, power: 0.9 });
 * lr(99); // 1e-6
 */
export function polynomial(options: StepOptions & { readonly power: number }): Schedule {
  const { lr, minLr, power } = options;
  return warmedUp(options, (step) => minLr + (lr - minLr) * (1 - progress(step, options)) ** power);
}

/**
 * Linear warm-up, then `lr`, multiplied by `factor` at each of the `milestones` (epochs, fractions allowed).
 *
 * @example
 * const lr = multiStep({
 *   lr: 0.1, warmupLr: 0, warmupSteps: 0,
 *   milestones: [30, 60], factor: 0.1, stepsPerEpoch: 10,
 * });
 * lr(300); // 0.01
 */
export function multiStep(
  options: WarmupOptions & {
    readonly warmupSteps: number;
    readonly milestones: readonly number[];
    readonly factor: number;
    readonly stepsPerEpoch: number;
  },
): Schedule {
  const { lr, milestones, factor, stepsPerEpoch } = options;
  const falls = milestones.map((epoch) => Math.round(epoch * stepsPerEpoch));
  return warmedUp(options, (step) => lr * factor ** falls.filter((fall) => step >= fall).length);
}

/**
 * Warm-up, stable, decay (MiniCPM, Hu et al. 2024; Hägele et al. 2024): linear warm-up, then constant `lr`. Over the last
 * `decayShare` of all steps (never in the warm-up), the rate falls to `minLr` at the last step: minLr + (lr - minLr) f(t),
 * where t is the share of decay steps done, including this one, and f(t) = 1 - t or 1 - sqrt(t).
 *
 * @example
 * const lr = wsd({ lr: 1e-3, warmupLr: 0, minLr: 1e-6, steps: 100, warmupSteps: 10, decayShare: 0.2, decay: '1-sqrt' });
 * lr(50); // 1e-3
 */
export function wsd(
  options: StepOptions & { readonly decayShare: number; readonly decay: 'linear' | '1-sqrt' },
): Schedule {
  const { lr, minLr, steps, warmupSteps, decayShare, decay } = options;
  const decaySteps = Math.min(Math.round(decayShare * steps), steps - warmupSteps);
  const from = steps - decaySteps;
  return warmedUp(options, (step) => {
    if (step < from || decaySteps <= 0) return lr;
    const t = Math.min((step + 1 - from) / decaySteps, 1);
    return minLr + (lr - minLr) * (1 - (decay === 'linear' ? t : Math.sqrt(t)));
  });
}

/** Rises to `lr` at the last step of the warm-up, and continues with `then`. */
function warmedUp(options: WarmupOptions & { readonly warmupSteps: number }, then: Schedule): Schedule {
  const { lr, warmupLr, warmupSteps } = options;
  return (step) =>
    step < warmupSteps ? warmupLr + ((step + 1) * (lr - warmupLr)) / warmupSteps : then(step);
}

/** 0 at the first step after the warm-up, 1 at the last step. */
function progress(step: number, { steps, warmupSteps }: StepOptions): number {
  return Math.min((step - warmupSteps) / Math.max(steps - 1 - warmupSteps, 1), 1);
}

/** Training images and their augmentation in a part of a phase. */
export interface CurriculumStage {
  /** Share of the phase's steps after which the stage ends, above 0 and up to 1. */
  readonly until: number;
  /** Height and width of the images in pixels. Absent: the size of the model's images. */
  readonly size?: number | undefined;
  /** Keep only the low frequencies of the images, instead of resizing them. */
  readonly low_pass: boolean;
  /** Magnitude of RandAugment. Absent: that of the policy. */
  readonly magnitude?: number | undefined;
}

/** A phase's stages, in order; the last one ends with the phase. */
export type Curriculum = readonly CurriculumStage[];

/**
 * Number of steps at the end of each stage, of a phase of `steps` steps. It depends on nothing else, so a resumed phase has
 * the same stages.
 *
 * @example
 * stageEnds([{ until: 0.25, low_pass: false }, { until: 1, low_pass: false }], 10); // 3, 10
 */
export function stageEnds(curriculum: Curriculum, steps: number): number[] {
  return curriculum.map(({ until }) => Math.round(until * steps));
}

/** Index of the stage of a step, counted from 0. Later steps belong to the last stage. */
export function stageOfStep(ends: readonly number[], step: number): number {
  const index = ends.findIndex((end) => step < end);
  return index < 0 ? ends.length - 1 : index;
}
