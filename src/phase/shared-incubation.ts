import type { Batch } from '../data/loader/batch.js';
import type { Member } from '../data/loader/shared-batches.js';
import type { Phase } from '../recipe/phases.js';
import { isTogether } from '../recipe/recipe-model.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import type { StepReport, Trainable } from '../training/trainer.js';
import type { Images } from './images/images.js';

/** What a module shares with those that are incubated beside it in one process. */
export interface Shared {
  readonly others: readonly string[];
  readonly images: Images;
  readonly batches: Member<Batch>;
  /** The same model, whose forward pass in training takes the frozen prefix's features from those of the others. */
  prefix(model: Trainable): Trainable;
}

/**
 * What randomness of a phase is keyed by beside the seed, for order, augmentation and drop path: its own name, or one
 * name for all modules of a recipe that incubates them together, wherever each is trained.
 */
export function keyOf(recipe: Recipe, { name }: Phase): string {
  return isTogether(recipe) && name.startsWith('MT/') ? 'MT' : name;
}

/** For the log: how many processes train a phase, or what this one trains beside it. */
export function companyOf(processes: number, shared: Shared | undefined): string {
  if (shared !== undefined) return `, together with ${shared.others.join(', ')}`;
  return processes > 1 ? `, ${processes} processes` : '';
}

/** A phase's own batches, or those that it shares. */
export function sharedBy(
  { shared }: { readonly shared?: Shared },
  from: number,
  open: (from: number) => AsyncIterable<Batch>,
): AsyncIterable<Batch> {
  return shared?.batches.join(from, open) ?? open(from);
}

/** A step without the time that it waited for the modules beside it. */
export function ownTime(report: StepReport, shared: Shared | undefined): StepReport {
  if (shared === undefined) return report;
  const idle = shared.batches.takeIdle();
  return {
    ...report,
    milliseconds: Math.max(0, report.milliseconds - idle),
    dataMilliseconds: Math.max(0, report.dataMilliseconds - idle),
  };
}
