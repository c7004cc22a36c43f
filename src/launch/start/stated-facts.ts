import { isDeepStrictEqual } from 'node:util';
import { EVAL_CROP, SMALL_IMAGE } from '../../data/transforms/transform.js';
import { familyOf } from '../../models/families/families.js';
import type { Assumption, ModelFamily } from '../../models/family.js';
import type { StatedModel } from '../../models/layout.js';
import { headerHints } from '../../models/model-file/model-hints.js';
import { IMAGENET } from '../../recipe/recipe-data.js';
import { modelConfigOf } from '../../recipe/recipe-model.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { taskKind } from '../../tasks/tasks.js';
import { type CheckpointFile, familyOfCheckpoint, type Manifest } from './checkpoint-file.js';

/** Facts that a checkpoint states about its model and images, in addition to its weights. */
interface StatedFacts extends StatedModel {
  /** Of each channel, for pixel values from 0 to 1. */
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  /** Share of the resized shorter side that evaluation's crop keeps. */
  readonly evalCrop?: number | undefined;
  /** How the model's images were decoded. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  readonly grey16?: 'clip' | 'scale' | undefined;
  /** The resizing in the authors' evaluation, if it differs from evaluation here. */
  readonly otherResize?: string | undefined;
}

/** Facts from a checkpoint's manifest, or without one, from the files next to the weights or the header of the weights. */
export function statedFacts({ file, manifest }: Pick<CheckpointFile, 'file' | 'manifest'>): StatedFacts {
  if (manifest !== undefined) return ofManifest(manifest, familyOfCheckpoint({ file, manifest }));
  const { pool: hinted, ...hints } = headerHints(file);
  const hasFcNorm = file.stages.at(-1)?.has('fc_norm.weight') ?? false;
  const pool = hinted ?? (hasFcNorm ? 'mean' : undefined);
  const fcNorm = pool === 'mean' ? hasFcNorm : undefined;
  return { ...hints, pool, fcNorm, otherResize: file.hints.otherResize };
}

function ofManifest(
  { model, mean, std, eval_crop: evalCrop, exif, grey16 }: Manifest,
  family: ModelFamily,
): StatedFacts {
  return { ...family.statedIn(model), mean, std, evalCrop, exif, grey16 };
}

/** A recipe as written, with the values that its weights state for the keys that it leaves out. */
interface RecipeWithFacts {
  readonly input: unknown;
  /** Keys that were filled in, with their values, for messages to the user. */
  readonly taken: readonly string[];
  /** Keys of the recipe that the weights contradict. The recipe's values are used. */
  readonly differences: readonly string[];
}

type Section = 'data' | 'model';

interface Row {
  readonly section: Section;
  readonly key: string;
  /** The value that the weights state. */
  readonly value: unknown;
  /** The value that the recipe uses. */
  readonly used: unknown;
  /** Whether the key is filled in if the recipe leaves it out. */
  readonly isFilled: boolean;
}

/**
 * Fills in a recipe's mean, standard deviation, crop, decoding, epsilon and pooling with the values that the weights
 * state, and compares the keys that the recipe states itself.
 * @param input the recipe as written
 * @param recipe the same, checked, with its defaults
 */
export function recipeWithFacts(input: unknown, recipe: Recipe, facts: StatedFacts): RecipeWithFacts {
  // A copy of the sections keeps the user's families, which `model` carries.
  const filled = { ...Object(input) } as Partial<Record<Section, Record<string, unknown>>>;
  const taken: string[] = [];
  const differences: string[] = [];
  for (const { section, key, value, used, isFilled } of rowsOf(recipe, facts)) {
    if (value === undefined) continue;
    if (isFilled && filled[section]?.[key] === undefined) {
      filled[section] = { ...filled[section], [key]: value };
      taken.push(`${section}.${key} ${JSON.stringify(value)}`);
    } else if (!isDeepStrictEqual(value, used)) {
      differences.push(`${section}.${key} ${JSON.stringify(value)}, the recipe ${JSON.stringify(used)}`);
    }
  }
  return { input: filled, taken, differences };
}

function rowsOf(recipe: Recipe, facts: StatedFacts): Row[] {
  const { data, model } = recipe;
  const family = familyOf(model);
  const ofModel = family.statedKeys(model, modelConfigOf(recipe), facts);
  const ofChannels = (values: readonly number[] | undefined) =>
    values?.length === model.channels ? values : undefined;
  const row = (section: Section, key: string, value: unknown, used: unknown, isFilled = true): Row => ({
    section,
    key,
    value,
    used,
    isFilled,
  });
  return [
    row('data', 'mean', ofChannels(facts.mean), data.mean),
    row('data', 'std', ofChannels(facts.std), data.std),
    // Images with annotations are not cropped.
    ...(taskKind(recipe.task).annotations !== undefined
      ? []
      : [row('data', 'eval_crop', facts.evalCrop, data.eval_crop)]),
    row('data', 'exif', facts.exif, data.exif),
    row('data', 'grey16', facts.grey16, data.grey16),
    ...ofModel.map((each): Row => ({ section: 'model', ...each })),
  ];
}

/** Assumptions about image preprocessing for a checkpoint that does not state it: as for most ImageNet models. */
export function assumedImages(
  { mean, std, evalCrop, otherResize }: StatedFacts,
  { imageSize, channels }: { readonly imageSize: number; readonly channels: number },
): Assumption[] {
  const assumed: Assumption[] = [];
  if (channels === 3 && mean === undefined) {
    assumed.push({ key: 'data.mean', text: `mean [${IMAGENET.mean.join(', ')}] (ImageNet's)` });
  }
  if (channels === 3 && std === undefined) {
    assumed.push({ key: 'data.std', text: `standard deviation [${IMAGENET.std.join(', ')}] (ImageNet's)` });
  }
  if (otherResize !== undefined) {
    const used =
      imageSize > SMALL_IMAGE
        ? 'bicubic resize and a centre crop'
        : `images of ${imageSize} x ${imageSize}, without resizing`;
    assumed.push({ key: 'resize', text: `${used} (its ${otherResize})` });
  } else if (evalCrop === undefined && imageSize > SMALL_IMAGE) {
    assumed.push({
      key: 'data.eval_crop',
      text: `bicubic resize and a centre crop of ${EVAL_CROP.toFixed(3)} (the model states neither)`,
    });
  }
  return assumed;
}
