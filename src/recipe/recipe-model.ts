import { InputError } from '../base/errors.js';
import { divide } from '../method/divide.js';
import { metaDepths } from '../method/meta-model.js';
import type { Blueprint } from '../models/staged.js';
import { VIT_PRESETS } from '../models/vit/presets.js';
import { type VitConfig, vit } from '../models/vit/vit.js';
import type { Recipe } from './recipe-schema.js';

/** The geometry of a recipe's target model. */
export function vitConfigOf(recipe: Recipe): VitConfig {
  const { preset, ...given } = recipe.model;
  const base = preset === undefined ? undefined : VIT_PRESETS[preset];
  const need = <K extends 'width' | 'depth' | 'heads' | 'patch_size'>(key: K): number => {
    const value = given[key] ?? base?.[key];
    if (value === undefined) {
      throw new InputError(`${recipe.name}: model.${key} is missing`, { hint: 'give it, or a model.preset' });
    }
    return value;
  };
  const config: VitConfig = {
    imageSize: given.image_size,
    patchSize: need('patch_size'),
    channels: given.channels,
    classes: given.classes,
    width: need('width'),
    depth: need('depth'),
    heads: need('heads'),
    mlpRatio: given.mlp_ratio,
    qkvBias: given.qkv_bias ?? base?.qkv_bias ?? true,
    layerNormEps: given.layer_norm_eps ?? base?.layer_norm_eps ?? 1e-6,
    classToken: given.class_token,
    distilled: given.distilled,
    ...poolOf(given),
  };
  requireDivides('model.patch_size', config.patchSize, 'model.image_size', config.imageSize);
  requireDivides('model.heads', config.heads, 'model.width', config.width);
  return config;
}

/** A model with a class token that pools by the mean has its final norm after the pooling, as MAE's and timm's. */
function poolOf({ pool, fc_norm: fcNorm, class_token: classToken }: Recipe['model']) {
  const isAfter = fcNorm ?? (pool === 'mean' && classToken);
  return { ...(pool && { pool }), ...(isAfter && { fcNorm: true }) };
}

export function blueprintOf(recipe: Recipe): Blueprint {
  return vit(vitConfigOf(recipe));
}

/** Blocks of each module of the recipe's target model; of one that is not divided, all in one. */
export function targetDepths(recipe: Recipe): number[] {
  const { depth } = vitConfigOf(recipe);
  if (recipe.incubation === 'none') return [depth];
  const { modules, depths } = recipe.incubation;
  if (depths !== undefined && modules !== undefined && depths.length !== modules) {
    throw new InputError(
      `incubation.depths has ${depths.length} entries, incubation.modules says ${modules}`,
    );
  }
  return divide(depth, depths === undefined ? { modules: modules ?? 4 } : { depths });
}

/** Blocks of each stage of the recipe's meta model. */
export function metaDepthsOf(recipe: Recipe): number[] {
  const { incubation } = recipe;
  return incubation === 'none' ? [] : metaDepths(targetDepths(recipe).length, incubation.meta_depth);
}

/** Whether the recipe's modules see the same batches, and share a process where they share a device. */
export function isTogether({ incubation }: Recipe): boolean {
  return incubation !== 'none' && incubation.together;
}

/** Whether the phase is a module that trains together with others. A module with its own settings or images does not. */
export function sharesWithOthers(recipe: Recipe, name: string): boolean {
  return (
    isTogether(recipe) &&
    name.startsWith('MT/') &&
    recipe.phases.modules?.[name.slice('MT/'.length)] === undefined
  );
}

function requireDivides(smallKey: string, small: number, largeKey: string, large: number): void {
  if (large % small === 0) return;
  throw new InputError(`${smallKey} ${small} does not divide ${largeKey} ${large}`);
}
