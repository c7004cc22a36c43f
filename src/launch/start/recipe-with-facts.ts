import { isDeepStrictEqual } from 'node:util';
import { familyOf } from '../../models/families/families.js';
import { modelConfigOf } from '../../recipe/recipe-model.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import type { StatedFacts } from './stated-facts.js';

/** A recipe as written, with the values that its weights state for the keys that it leaves out. */
export interface RecipeWithFacts {
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
    row('data', 'eval_crop', facts.evalCrop, data.eval_crop),
    row('data', 'exif', facts.exif, data.exif),
    row('data', 'grey16', facts.grey16, data.grey16),
    ...ofModel.map((each): Row => ({ section: 'model', ...each })),
  ];
}
