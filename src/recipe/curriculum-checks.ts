import { InputError } from '../base/errors.js';
import { atSize } from '../models/staged.js';
import type { Curriculum } from '../training/schedule.js';
import type { Phase } from './phase.js';
import type { Recipe } from './recipe-schema.js';

/**
 * Checks the curriculum of every phase.
 * @param source for messages
 * @throws InputError naming the phase and the stage
 */
export function requireCurricula(
  recipe: Pick<Recipe, 'incubation' | 'phases'>,
  phases: readonly Phase[],
  source: string,
): void {
  for (const phase of phases) {
    const { curriculum } = phase.settings;
    if (curriculum === null) continue;
    const where = `${source}: ${phase.name}: curriculum`;
    requireOrder(curriculum, where);
    requireSizes(phase, curriculum, where);
    requireMagnitudes(phase, curriculum, where);
  }
  requireSameInModules(recipe, source);
}

function requireOrder(curriculum: Curriculum, where: string): void {
  for (const [i, { until }] of curriculum.entries()) {
    const before = curriculum[i - 1]?.until ?? 0;
    if (until > before) continue;
    throw new InputError(`${where}: stage ${i + 1} ends at ${until}, but the stage before it at ${before}`, {
      hint: 'until must rise from stage to stage; only the last stage may leave it out, and ends at 1',
    });
  }
  const last = curriculum[curriculum.length - 1].until;
  if (last === 1) return;
  throw new InputError(`${where}: the last stage ends at ${last} of the steps`, {
    hint: 'leave out its until, or add a stage for the rest',
  });
}

function requireSizes({ blueprint }: Phase, curriculum: Curriculum, where: string): void {
  const full = blueprint.input.size;
  for (const [i, { size }] of curriculum.entries()) {
    if (size === undefined || size === full) continue;
    const stage = `${where}: stage ${i + 1}: size ${size}`;
    if (size > full) {
      throw new InputError(`${stage} is above model.image_size ${full}`, {
        hint: 'images can only become smaller: lower size, or raise model.image_size',
      });
    }
    try {
      atSize(blueprint, size);
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      throw new InputError(`${stage}: ${error.message}`, { hint: error.hint, cause: error });
    }
  }
}

function requireMagnitudes({ data: { augment } }: Phase, curriculum: Curriculum, where: string): void {
  if (augment !== 'none' && augment.auto !== null) return;
  const index = curriculum.findIndex(({ magnitude }) => magnitude !== undefined);
  if (index < 0) return;
  throw new InputError(`${where}: stage ${index + 1}: magnitude needs RandAugment`, {
    hint: 'set data.augment.auto, such as rand-m9-mstd0.5-inc1, or leave out magnitude',
  });
}

/** Modules that are incubated together see the same batches. */
function requireSameInModules(
  { incubation, phases }: Pick<Recipe, 'incubation' | 'phases'>,
  source: string,
): void {
  if (incubation === 'none' || !incubation.together) return;
  const [index] = Object.entries(phases.modules ?? {}).find(([, own]) => own.curriculum !== undefined) ?? [];
  if (index === undefined) return;
  throw new InputError(
    `${source}: phases.modules.${index}.curriculum: modules that are incubated together see the same images`,
    { hint: 'set phases.MT.curriculum, or incubation.together: false' },
  );
}
