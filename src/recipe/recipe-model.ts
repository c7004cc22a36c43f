import { InputError } from '../base/errors.js';
import { divide } from '../method/divide.js';
import { metaDepths } from '../method/meta-model.js';
import { familyOf } from '../models/families/families.js';
import type { ModelConfig } from '../models/family.js';
import type { Blueprint } from '../models/staged.js';
import type { Recipe } from './recipe-schema.js';

/** The geometry of a recipe's target model. */
export function modelConfigOf({ model, name }: Pick<Recipe, 'model' | 'name'>): ModelConfig {
  return familyOf(model).configOf(model, name);
}

export function blueprintOf(recipe: Recipe): Blueprint {
  return familyOf(recipe.model).blueprint(modelConfigOf(recipe));
}

/** Number of blocks in each module of the recipe's target model. An undivided model counts as one module. */
export function targetDepths(recipe: Recipe): number[] {
  const { depth } = blueprintOf(recipe);
  if (recipe.incubation === 'none') return [depth];
  const { modules, depths } = recipe.incubation;
  if (depths !== undefined && modules !== undefined && depths.length !== modules) {
    throw new InputError(
      `incubation.depths has ${depths.length} entries, incubation.modules says ${modules}`,
    );
  }
  return divide(depth, depths === undefined ? { modules: modules ?? 4 } : { depths });
}

/** Number of blocks in each stage of the recipe's meta model. Empty if the model is not divided. */
export function metaDepthsOf(recipe: Recipe): number[] {
  const { incubation } = recipe;
  return incubation === 'none' ? [] : metaDepths(targetDepths(recipe).length, incubation.meta_depth);
}

/** Whether the recipe's modules see the same batches, and share a process if they share a device. */
export function isTogether({ incubation }: Recipe): boolean {
  return incubation !== 'none' && incubation.together;
}

/** Whether the phase is a module that trains together with other modules. One with its own settings or images does not. */
export function sharesWithOthers(recipe: Recipe, name: string): boolean {
  return (
    isTogether(recipe) &&
    name.startsWith('MT/') &&
    recipe.phases.modules?.[name.slice('MT/'.length)] === undefined
  );
}
