import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { VIT_PRESETS } from '../models/presets.js';
import type { Blueprint } from '../models/staged.js';
import { type VitConfig, vit } from '../models/vit.js';
import { divide } from './divide.js';
import { readRecipeFile } from './recipe-file.js';
import { type Recipe, type RecipeInput, recipeSchema } from './recipe-schema.js';
import { withSettings } from './settings.js';

/**
 * A recipe built in TypeScript: checked, with defaults filled in.
 *
 * @example
 * defineRecipe({ name: 'mine', model: { preset: 'vit-base' }, incubation: { modules: 4 }, data: { format: 'folder', path: 'images' } })
 * @throws InputError naming the first wrong key
 */
export function defineRecipe(input: RecipeInput): Recipe {
  return checkedRecipe(input, 'the recipe');
}

/**
 * Reads a YAML (or JSON) recipe, which may extend another.
 * @param settings `key.path=value` each, values as YAML; they replace what the file says
 * @throws InputError naming file and key
 */
export function readRecipe(path: string, settings: readonly string[] = []): Recipe {
  return checkedRecipe(withSettings(readRecipeFile(path), settings), path);
}

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
  };
  requireDivides('model.patch_size', config.patchSize, 'model.image_size', config.imageSize);
  requireDivides('model.heads', config.heads, 'model.width', config.width);
  return config;
}

export function blueprintOf(recipe: Recipe): Blueprint {
  return vit(vitConfigOf(recipe));
}

/** Blocks of each module of the recipe's target model. */
export function targetDepths(recipe: Recipe): number[] {
  const { modules, depths } = recipe.incubation;
  const { depth } = vitConfigOf(recipe);
  if (depths !== undefined && modules !== undefined && depths.length !== modules) {
    throw new InputError(
      `incubation.depths has ${depths.length} entries, incubation.modules says ${modules}`,
    );
  }
  return divide(depth, depths === undefined ? { modules: modules ?? 4 } : { depths });
}

/** The JSON Schema of recipe files, for editors. */
export function recipeJsonSchema(): object {
  return z.toJSONSchema(recipeSchema, { io: 'input' });
}

/**
 * Checks a recipe, and fills its defaults in.
 * @param source for messages
 * @throws InputError naming the first wrong key
 */
export function checkedRecipe(input: unknown, source: string): Recipe {
  const result = recipeSchema.safeParse(input);
  if (!result.success) throw new InputError(`${source}: ${issueText(result.error.issues[0])}`);
  const recipe = result.data;
  targetDepths(recipe);
  const { mean, std } = recipe.data;
  const { channels } = recipe.model;
  if (mean.length !== channels || std.length !== channels) {
    throw new InputError(
      `${source}: data.mean and data.std need one number a channel, model.channels is ${channels}`,
    );
  }
  return recipe;
}

function issueText(issue: z.core.$ZodIssue): string {
  const at = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => (at === '' ? key : `${at}.${key}`));
    return `unknown key ${keys.join(', ')}`;
  }
  return at === '' ? issue.message : `${at}: ${issue.message}`;
}

function requireDivides(smallKey: string, small: number, largeKey: string, large: number): void {
  if (large % small === 0) return;
  throw new InputError(`${smallKey} ${small} does not divide ${largeKey} ${large}`);
}
