import { InputError } from '../base/errors.js';
import { divide, metaDepths } from '../method/divide.js';
import type { ModuleInit } from '../method/grow-plan.js';
import { familyOf } from '../models/families/families.js';
import type { ModelConfig } from '../models/family.js';
import type { Blueprint } from '../models/staged.js';
import type { Recipe } from './recipe-schema.js';
import type { LocalSettings } from './recipe-training.js';

type ModelOfRecipe = Pick<Recipe, 'model' | 'name'>;
type DividedModel = Pick<Recipe, 'model' | 'name' | 'incubation'>;

/** The geometry of a recipe's target model. */
export function modelConfigOf({ model, name }: ModelOfRecipe): ModelConfig {
  return familyOf(model).configOf(model, name);
}

export function blueprintOf(recipe: ModelOfRecipe): Blueprint {
  return familyOf(recipe.model).blueprint(modelConfigOf(recipe));
}

/** Number of blocks in each module of the recipe's target model. An undivided model counts as one module. */
export function targetDepths(recipe: DividedModel): number[] {
  const { depth } = blueprintOf(recipe);
  if (recipe.incubation === 'none') return [depth];
  return divided(depth, recipe.incubation, 'incubation') ?? divide(depth, { modules: 4 });
}

/**
 * Number of blocks in each module that is trained by a local loss.
 * @throws InputError if `local` does not divide the model
 */
export function localDepths(recipe: ModelOfRecipe, local: LocalSettings): number[] {
  const given = divided(blueprintOf(recipe).depth, local, 'phases.E2E.local');
  if (given !== undefined) return given;
  throw new InputError('phases.E2E.local.modules is missing: the model is not divided into modules', {
    hint: 'set phases.E2E.local.modules or phases.E2E.local.depths',
  });
}

/** The depths that a section with the keys `modules` and `depths` states; undefined if it has neither. */
function divided(
  depth: number,
  { modules, depths }: { readonly modules?: number | undefined; readonly depths?: number[] | undefined },
  section: string,
): number[] | undefined {
  if (depths !== undefined && modules !== undefined && depths.length !== modules) {
    throw new InputError(
      `${section}.depths has ${depths.length} entries, but ${section}.modules is ${modules}`,
    );
  }
  if (depths !== undefined) return divide(depth, { depths });
  return modules === undefined ? undefined : divide(depth, { modules });
}

/** Number of blocks in each stage of the recipe's meta model. Empty if the model is not divided. */
export function metaDepthsOf(recipe: DividedModel): number[] {
  const { incubation } = recipe;
  return incubation === 'none' ? [] : metaDepths(targetDepths(recipe).length, incubation.meta_depth);
}

/** Whether the whole model is grown from the meta model, instead of assembled from modules. */
export function isGrown({ incubation }: Pick<Recipe, 'incubation'>): boolean {
  return incubation !== 'none' && incubation.strategy === 'growth';
}

/** How the recipe's modules start. */
export function moduleInitOf({ incubation }: Pick<Recipe, 'incubation'>): ModuleInit {
  if (incubation === 'none') return 'fresh';
  return incubation.init ?? (incubation.strategy === 'growth' ? 'grown' : 'fresh');
}

/** Whether the recipe's modules see the same batches, and share a process if they share a device. */
export function isDividedTogether({ incubation }: Pick<Recipe, 'incubation'>): boolean {
  return incubation !== 'none' && incubation.together;
}
