import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { openDataset } from '../data/open/open-dataset.js';
import { familiesIn, modelSectionWith, withFamilies } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import { checkTogether } from './recipe-checks.js';
import { dataSection } from './recipe-data.js';
import { readRecipeFile, withSettings } from './recipe-file.js';
import { keysAt, unknownKeyHint } from './recipe-keys.js';
import { targetDepths } from './recipe-model.js';
import { type Recipe, type RecipeInput, recipeSchema } from './recipe-schema.js';
import { withTask } from './recipe-task.js';

/**
 * A recipe built in TypeScript: checked, with defaults filled in.
 *
 * @example
 * const recipe = defineRecipe({
 *   name: 'mine',
 *   model: { preset: 'vit-base', classes: 10 },
 *   incubation: { modules: 4 },
 *   data: { format: 'folder', path: 'images' },
 * });
 * @throws InputError naming the first wrong key
 */
export function defineRecipe(input: RecipeInput | OwnRecipeInput, options: RecipeOptions = {}): Recipe {
  return checkedRecipe(input, 'the recipe', options.families);
}

/** A recipe for a model of your own family. */
export type OwnRecipeInput = Omit<RecipeInput, 'model'> & {
  readonly model: { readonly family: string } & Readonly<Record<string, unknown>>;
};

export interface RecipeOptions {
  /** Your own families of models; see `defineFamily`. */
  readonly families?: readonly ModelFamily[];
}

/**
 * Reads a YAML (or JSON) recipe, which may extend another recipe.
 * @param settings each `key.path=value`, with the value as YAML; they override the file
 * @throws InputError naming the file and the key
 *
 * @example
 * const recipe = readRecipe('recipe.yaml', ['training.batch_size=4', 'seed=1']);
 */
export function readRecipe(
  path: string,
  settings: readonly string[] = [],
  options: RecipeOptions = {},
): Recipe {
  return checkedRecipe(inputOf(path, settings).input, path, options.families);
}

/** A recipe with its raw input. In the checked recipe, explicit values cannot be distinguished from defaults. */
export interface WrittenRecipe {
  readonly recipe: Recipe;
  readonly input: unknown;
  /** Name of the source in messages. */
  readonly source: string;
  /** The number of classes that `model.classes: auto` found in the images. */
  readonly classesFound?: number | undefined;
}

/** Like `readRecipe`, but also returns the raw input. */
export function readRecipeInput(path: string, settings: readonly string[] = []): WrittenRecipe {
  const { input, classesFound } = inputOf(path, settings);
  return { input, recipe: checkedRecipe(input, path), source: path, classesFound };
}

function inputOf(path: string, settings: readonly string[]) {
  return withClassesOfData(withSettings(readRecipeFile(path), settings), path);
}

/** The JSON Schema of recipe files, for editors. */
export function recipeJsonSchema(): object {
  const extending = z.string().describe('A recipe, by its path from here, that this one changes.').optional();
  return z.toJSONSchema(recipeSchema.extend({ extends: extending }), {
    io: 'input',
    // Editors complete keys in both `oneOf` and `anyOf`, but more tools support `anyOf`.
    override: ({ jsonSchema, path }) => {
      if (path.at(-1) === 'classes' && jsonSchema.type === 'integer') {
        jsonSchema.anyOf = [{ type: 'integer', exclusiveMinimum: 0 }, { const: 'auto' }];
        delete jsonSchema.type;
      }
      if (jsonSchema.oneOf === undefined) return;
      jsonSchema.anyOf = jsonSchema.oneOf;
      delete jsonSchema.oneOf;
    },
  });
}

/**
 * Checks a recipe and fills in its defaults.
 * @param source for messages
 * @throws InputError naming the first invalid key
 */
export function checkedRecipe(
  input: unknown,
  source: string,
  families: readonly ModelFamily[] = familiesIn(Object(input).model),
): Recipe {
  const schema =
    families.length === 0 ? recipeSchema : recipeSchema.extend({ model: modelSectionWith(families) });
  const result = schema.safeParse(withTask(input, source, families));
  if (!result.success) {
    const issue = innermost(result.error.issues[0]);
    throw new InputError(`${source}: ${issueText(issue)}`, { hint: hintOf(schema, issue, input) });
  }
  const parsed = result.data as Recipe;
  const recipe = { ...parsed, model: withFamilies(parsed.model, families) };
  targetDepths(recipe);
  checkTogether(recipe, source);
  return recipe;
}

/**
 * The problem inside a value that may have several forms, such as none or a section: that of the form which the value resembles.
 * If it resembles no form, the forms are listed.
 */
function innermost(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code !== 'invalid_union' || issue.errors.length === 0) return issue;
  const isOfAll = ({ path, code }: z.core.$ZodIssue) =>
    path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
  const hasOwnText = issue.message !== 'Invalid input';
  const inside = issue.errors.filter((issues) => !issues.some(isOfAll));
  // A text of its own covers the values that no form allows, but not what is wrong inside a section.
  if (inside.length === 1 && !(hasOwnText && inside[0][0].path.length === 0)) {
    const [found] = inside[0];
    return innermost({ ...found, path: [...issue.path, ...found.path] });
  }
  if (inside.length > 1 || hasOwnText) return issue;
  const forms = issue.errors.flatMap(([{ message }]) => message.match(/expected ([^,]+)/)?.[1] ?? []);
  const text = forms
    .join(' or ')
    .replaceAll('"', '')
    .replace('object', 'a section')
    .replace('array', 'a list');
  return { ...issue, message: `expected ${text}` };
}

const MOST_NAMED = 5;

function issueText(issue: z.core.$ZodIssue): string {
  const at = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const keys = issue.keys.map((key) => (at === '' ? key : `${at}.${key}`));
    const more = keys.length - MOST_NAMED;
    return `unknown key ${keys.slice(0, MOST_NAMED).join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
  }
  // A key that may be missing has `undefined` among its values.
  const message = issue.message.replace(/ \| 'undefined'|'undefined' \| /, '');
  return at === '' ? message : `${at}: ${message}`;
}

const OWN_FAMILY =
  'a family of your own is known only to the program that defines it: call runRecipe and redoPhase there with its families; ' +
  'see docs/own-model.md';

function hintOf(schema: z.ZodType, issue: z.core.$ZodIssue, input: unknown): string | undefined {
  if (issue.code === 'invalid_union' && issue.path.join('.') === 'model.family') return OWN_FAMILY;
  if (issue.code === 'unrecognized_keys') return unknownKeyHint(schema, issue.path, issue.keys[0], input);
  if (issue.code !== 'invalid_type' || issue.expected !== 'object') return undefined;
  const keys = keysAt(schema, issue.path, input);
  return keys.length === 0
    ? undefined
    : `${issue.path.join('.') || 'a recipe'} is a section; its keys are ${keys.join(', ')}`;
}

/** Value of `model.classes` that stands for the number of classes of the images. */
const AUTO = 'auto';

/** A recipe as written, without `model.classes: auto`. */
interface CountedClasses {
  readonly input: unknown;
  /** The number of classes that was found; undefined if the recipe states it. */
  readonly classesFound?: number;
}

/**
 * Replaces `model.classes: auto` by the number of classes of the images. Other recipes are returned unchanged.
 * @param source for messages
 * @throws InputError if the images cannot be opened
 */
function withClassesOfData(input: unknown, source: string): CountedClasses {
  const { model, data } = Object(input);
  if (Object(model).classes !== AUTO) return { input };
  const section = dataSection.safeParse(data);
  // An invalid section `data` is reported by the check of the whole recipe.
  const classes = section.success ? classesOf(section.data, source) : 1;
  return { input: { ...Object(input), model: { ...model, classes } }, classesFound: classes };
}

function classesOf(data: ReturnType<typeof dataSection.parse>, source: string): number {
  if (data.classes !== undefined) return data.classes.length;
  const { format, category, split, eval_split: evalSplit } = data;
  const path = data.path ?? (format === 'folder' ? '.' : undefined);
  try {
    return openDataset({ format, path, category, split, evalSplit }).train.classes.length;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    throw new InputError(`${source}: model.classes: auto needs the images: ${error.message}`, {
      hint: error.hint,
      cause: error,
    });
  }
}
