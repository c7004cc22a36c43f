import { InputError } from '../base/errors.js';
import { type Geometry, inferGeometry } from '../checkpoint/model-file-geometry.js';
import { phasesOf } from '../incubation/phases.js';
import { checkedRecipe, readRecipe, vitConfigOf } from '../incubation/recipe.js';
import type { Recipe } from '../incubation/recipe-schema.js';
import { withSettings } from '../incubation/settings.js';
import { VIT_PRESETS } from '../models/presets.js';
import type { CheckpointFile, Manifest } from './checkpoint-file.js';

/** What must be known of a checkpoint to use it. */
export interface ModelOfCheckpoint {
  /** Model, mean and std are the checkpoint's; the rest is as the recipe says, or default. */
  readonly recipe: Recipe;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** What was assumed, for the user to read. */
  readonly assumption: string | undefined;
}

/**
 * What model a checkpoint holds: as the recipe given says; else as the checkpoint's manifest says; else as its
 * weights show, with the number of heads of the published ViT of that width.
 * @param settings `key=value`, which go before all of these
 * @throws InputError where something remains unknown, or does not fit the weights
 */
export function modelOfCheckpoint(
  { file, manifest }: CheckpointFile,
  given: { readonly recipe?: string | undefined; readonly settings: readonly string[] },
): ModelOfCheckpoint {
  const geometry = inferGeometry(file.stages, file.path);
  const { depths } = geometry;
  if (given.recipe !== undefined) {
    const recipe = readRecipe(given.recipe, given.settings);
    requirePhaseOf(recipe, depths, file.path);
    return { recipe, depths, assumption: undefined };
  }
  const { model, mean, std, assumption } = manifest ? fromManifest(manifest) : fromWeights(geometry);
  const known = {
    name: file.path,
    model: { ...model, depth: depths.reduce((a, b) => a + b, 0) },
    incubation: { depths },
    data: { format: 'folder', ...(mean && { mean }), ...(std && { std }) },
  };
  const input = withSettings(known, given.settings);
  requireTold(input, geometry, file.path);
  const assumes =
    assumption !== undefined && !given.settings.some((setting) => setting.startsWith('model.heads='));
  return { recipe: checkedRecipe(input, file.path), depths, assumption: assumes ? assumption : undefined };
}

interface Known {
  readonly model: Readonly<Record<string, unknown>>;
  readonly mean?: readonly number[];
  readonly std?: readonly number[];
  readonly assumption?: string;
}

function fromManifest({ model, mean, std }: Manifest): Known {
  return { model, mean, std };
}

function fromWeights(geometry: Geometry): Known {
  const { imageSize, patchSize, channels, classes, width, mlpRatio, qkvBias, classToken } = geometry;
  const [name, preset] = Object.entries(VIT_PRESETS).find(([, each]) => each.width === width) ?? [];
  const model = {
    image_size: imageSize,
    patch_size: patchSize,
    channels,
    classes,
    width,
    mlp_ratio: mlpRatio,
    qkv_bias: qkvBias,
    class_token: classToken,
  };
  if (preset === undefined) return { model };
  // Of a model with other biases than the published one, nothing says that it has its unusual epsilon.
  const eps = preset.qkv_bias === qkvBias ? preset.layer_norm_eps : 1e-6;
  return {
    model: { ...model, heads: preset.heads, layer_norm_eps: eps },
    assumption: `taken from ${name}, which has the same width: ${preset.heads} heads, LayerNorm epsilon ${eps}`,
  };
}

/** What weights do not tell, and no setting either, cannot be guessed. */
function requireTold(input: unknown, { width, channels }: Geometry, path: string): void {
  const { model, data } = Object(input);
  if (model.heads === undefined && model.preset === undefined) {
    throw new InputError(
      `${path}: its weights, of width ${width}, do not tell the number of attention heads`,
      {
        hint: 'give --recipe R, or --set model.heads=N',
      },
    );
  }
  if (channels !== 3 && (data.mean === undefined || data.std === undefined)) {
    throw new InputError(
      `${path}: its weights do not tell the mean and deviation of its ${channels}-channel images`,
      {
        hint: 'give --recipe R, or such as --set data.mean=[0.286] --set data.std=[0.353]',
      },
    );
  }
}

/** The recipe's target, its meta model and its hybrids are what its checkpoints hold. */
function requirePhaseOf(recipe: Recipe, depths: readonly number[], path: string): void {
  const possible = [...phasesOf(recipe).map((phase) => phase.depths), [vitConfigOf(recipe).depth]];
  const texts = [...new Set(possible.map((each) => each.join(' ')))];
  if (texts.includes(depths.join(' '))) return;
  throw new InputError(`${path} has stages of ${depths.join(' ')} blocks, no model of ${recipe.name} has`, {
    hint: `the recipe's models have ${texts.join('; ')}: give the recipe that the checkpoint belongs to`,
  });
}
