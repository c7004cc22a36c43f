import { InputError } from '../base/errors.js';
import type { ModelFile } from '../checkpoint/model-file/model-file.js';
import { type Geometry, inferGeometry } from '../checkpoint/model-file/model-file-geometry.js';
import { VIT_PRESETS } from '../models/presets.js';
import type { CheckpointFile, Manifest } from './checkpoint-file.js';
import { toldBeside } from './launch/told-beside.js';
import { phasesOf } from './phases.js';
import { checkedRecipe, readRecipe } from './recipe/recipe.js';
import { vitConfigOf } from './recipe/recipe-model.js';
import type { Recipe } from './recipe/recipe-schema.js';
import { withSettings } from './recipe/settings.js';

/** What must be known of a checkpoint to use it. */
export interface ModelOfCheckpoint {
  /** Model, mean and std are the checkpoint's; the rest is as the recipe says, or default. */
  readonly recipe: Recipe;
  /** Blocks of each stage. */
  readonly depths: readonly number[];
  /** What neither the checkpoint nor the user says, and what is taken for it. One short text each. */
  readonly assumptions: readonly string[];
}

/**
 * What model a checkpoint holds: as the recipe given says; else as the checkpoint's manifest says; else as its
 * weights show and what lies beside them tells, with the number of heads of the published ViT of that width where
 * nothing tells it.
 * @param settings `key=value`, which go before all of these
 * @throws InputError where something remains unknown, or does not fit the weights
 */
export function modelOfCheckpoint(
  { file, manifest }: Pick<CheckpointFile, 'file' | 'manifest'>,
  from: { readonly recipe?: string | undefined; readonly settings: readonly string[] },
): ModelOfCheckpoint {
  const { settings } = from;
  const geometry = inferGeometry(file.stages, file.path);
  const { depths } = geometry;
  if (from.recipe !== undefined) {
    const recipe = readRecipe(from.recipe, settings);
    requirePhaseOf(recipe, depths, file.path);
    return { recipe, depths, assumptions: [] };
  }
  const given = settings.map((setting) => setting.split('=', 1)[0].trim());
  const known = manifest ? fromManifest(manifest) : fromWeights(geometry, file);
  // Who gives the heads knows the model: an epsilon other than the usual one would have been given too.
  const isGiven = (key: string) =>
    given.includes(key) || (key.startsWith('model.') && given.includes('model.heads'));
  const assumed = known.assumed.filter(({ key }) => !isGiven(key));
  const input = withSettings(
    {
      name: file.path,
      model: { ...known.model, depth: depths.reduce((a, b) => a + b, 0) },
      incubation: { depths },
      data: {
        format: 'folder',
        ...(known.mean && { mean: known.mean }),
        ...(known.std && { std: known.std }),
        ...(known.evalCrop && { eval_crop: known.evalCrop }),
        exif: known.exif,
        grey16: known.grey16,
      },
    },
    settings,
  );
  requireTold(input, geometry, file.path);
  return { recipe: checkedRecipe(input, file.path), depths, assumptions: assumed.map(({ text }) => text) };
}

interface Known {
  readonly model: Readonly<Record<string, unknown>>;
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  readonly evalCrop?: number | undefined;
  /** How its images were decoded. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  readonly grey16?: 'clip' | 'scale' | undefined;
  /** Which settings nothing tells, and what is taken for them. */
  readonly assumed: readonly { readonly key: string; readonly text: string }[];
}

function fromManifest({ model, mean, std, eval_crop: evalCrop, exif, grey16 }: Manifest): Known {
  return { model, mean, std, evalCrop, exif, grey16, assumed: [] };
}

function fromWeights(geometry: Geometry, file: ModelFile): Known {
  const { imageSize, patchSize, channels, classes, width, mlpRatio, qkvBias, classToken, distilled } =
    geometry;
  const [name, preset] = Object.entries(VIT_PRESETS).find(([, each]) => each.width === width) ?? [];
  const told = toldBeside(file);
  const heads = told.heads ?? preset?.heads;
  // Of a model with other biases than the published one, nothing says that it has its unusual epsilon.
  const eps = told.layerNormEps ?? (preset?.qkv_bias === qkvBias ? preset.layer_norm_eps : 1e-6);
  const { mean, std, evalCrop, otherResize } = file.hints;
  return {
    model: {
      image_size: imageSize,
      patch_size: patchSize,
      channels,
      classes,
      width,
      mlp_ratio: mlpRatio,
      qkv_bias: qkvBias,
      class_token: classToken,
      distilled: distilled ?? false,
      layer_norm_eps: eps,
      ...(heads && { heads }),
    },
    mean,
    std,
    evalCrop,
    assumed: [
      ...(told.heads === undefined && heads !== undefined
        ? [{ key: 'model.heads', text: `${heads} heads (${name} has the same width)` }]
        : []),
      ...(told.layerNormEps === undefined
        ? [{ key: 'model.layer_norm_eps', text: `LayerNorm epsilon ${eps.toExponential()}` }]
        : []),
      ...(otherResize === undefined
        ? []
        : [{ key: 'resize', text: `bicubic resize and a centre crop (its ${otherResize})` }]),
    ],
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
