import type { Batch } from '../data/dataset.js';
import type { Member } from '../data/loader/shared-batches.js';
import type { StepReport } from '../training/step-values.js';
import type { Trainable } from '../training/trainer.js';
import type { Images } from './images/images.js';

/** State that a module shares with other modules incubated in the same process. */
export interface Shared {
  readonly others: readonly string[];
  readonly images: Images;
  readonly batches: Member<Batch>;
  /** Returns the same model, but in training its forward pass reuses the frozen prefix's features of the other modules. */
  prefix(model: Trainable<unknown>): Trainable<unknown>;
}

/** For the log: how many processes train a phase, or which other modules this process trains. */
export function companyOf(processes: number, shared: Shared | undefined): string {
  if (shared !== undefined) return `, together with ${shared.others.join(', ')}`;
  return processes > 1 ? `, ${processes} processes` : '';
}

/** The shared batches, or the phase's own batches if none are shared. */
export function sharedBy(
  { shared }: { readonly shared?: Shared },
  from: number,
  open: (from: number) => AsyncIterable<Batch>,
): AsyncIterable<Batch> {
  return shared?.batches.join(from, open) ?? open(from);
}

/** A step's report without the time spent waiting for the other modules. */
export function ownTime(report: StepReport, shared: Shared | undefined): StepReport {
  if (shared === undefined) return report;
  const idle = shared.batches.takeIdle();
  return {
    step: report.step,
    lr: report.lr,
    images: report.images,
    milliseconds: Math.max(0, report.milliseconds - idle),
    dataMilliseconds: Math.max(0, report.dataMilliseconds - idle),
    // Not read here, because reading waits for the GPU.
    get loss() {
      return report.loss;
    },
    get gradNorm() {
      return report.gradNorm;
    },
    requireFinite: report.requireFinite,
  };
}
