import { InputError } from '../base/errors.js';
import { evenShare } from '../data/loader/loader.js';
import { type PhaseName, phasesOf } from '../recipe/phases.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { planRun, type RunPlan, type TrainImages } from './plan.js';

/**
 * Checks that every phase has enough images for a step, and that all processes have an equal share of each step.
 * @throws InputError naming the phase without enough images, or the step that cannot be shared
 */
export function requireEnough(recipe: Recipe, imagesOf: (name: PhaseName) => number): void {
  const { augment } = recipe.data;
  for (const { name, settings } of phasesOf(recipe)) {
    const all = imagesOf(name);
    // Repeated augmentation cuts an epoch to a multiple of 256 images.
    const images = augment !== 'none' && augment.repeats > 1 ? Math.floor(all / 256) * 256 : all;
    evenShare(settings.accumulate, settings.batch_size, recipe.run.ranks);
    const perStep = settings.batch_size * settings.accumulate;
    if (images >= perStep) continue;
    throw new InputError(`${name}: a step takes ${perStep} images, an epoch has ${images}`, {
      hint: `lower ${settingKey(recipe, name, settings.total_batch === null ? 'batch_size' : 'total_batch')} to at most ${images}`,
    });
  }
}

/** The key that sets a setting of a phase; the key in `training` if the recipe does not state it. */
function settingKey(recipe: Recipe, name: PhaseName, key: 'batch_size' | 'total_batch'): string {
  const module = /^MT\/(\d+)$/.exec(name)?.[1];
  const { phases } = recipe;
  const sections: readonly (readonly [section: string, given: unknown])[] = [
    ...(module === undefined
      ? []
      : ([
          [`phases.modules.${module}`, phases.modules?.[module]],
          ['phases.MT', phases.MT],
        ] as const)),
    [`phases.${name}`, Object(phases)[name]],
  ];
  const [section] = sections.find(([, given]) => Object(given)[key] !== undefined) ?? ['training'];
  return `${section}.${key}`;
}

/**
 * Plans a recipe on a data set of `trainImages` images, as `run` would train it.
 * @throws InputError if there are too few images
 */
export function checkedPlan(recipe: Recipe, trainImages: TrainImages): RunPlan {
  requireEnough(recipe, typeof trainImages === 'number' ? () => trainImages : trainImages);
  return planRun(recipe, trainImages);
}
