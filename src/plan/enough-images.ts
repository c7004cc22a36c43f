import { InputError } from '../base/errors.js';
import { evenShare } from '../data/loader/loader.js';
import type { Phase, PhaseName } from '../recipe/phase.js';
import { planPhases, type RunPlan, type TrainImages } from './plan.js';

/**
 * Checks that every phase has enough images for a step, and that all processes have an equal share of each step.
 * @throws InputError naming the phase without enough images, or the step that cannot be shared
 */
export function requireEnough(phases: readonly Phase[], imagesOf: (name: PhaseName) => number): void {
  for (const { name, settings, data, run, settingKeys } of phases) {
    const { augment } = data;
    const all = imagesOf(name);
    // Repeated augmentation cuts an epoch to a multiple of 256 images.
    const images = augment !== 'none' && augment.repeats > 1 ? Math.floor(all / 256) * 256 : all;
    evenShare(settings.accumulate, settings.batch_size, run.ranks);
    const perStep = settings.batch_size * settings.accumulate;
    if (images >= perStep) continue;
    throw new InputError(`${name}: a step needs ${perStep} images, but an epoch has only ${images}`, {
      hint: `lower ${settingKeys[settings.total_batch === null ? 'batch_size' : 'total_batch']} to at most ${images}`,
    });
  }
}

/**
 * Plans all phases of a run on a data set of `trainImages` images, as `run` would train it.
 * @throws InputError if there are too few images
 */
export function checkedPlan(phases: readonly Phase[], trainImages: TrainImages): RunPlan {
  requireEnough(phases, typeof trainImages === 'number' ? () => trainImages : trainImages);
  return planPhases(phases, trainImages);
}
