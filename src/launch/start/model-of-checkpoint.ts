import { InputError } from '../../base/errors.js';
import { type Assumption, type ModelFamily, type WeightsFacts, wholeFacts } from '../../models/family.js';
import type { ModelFile } from '../../models/model-file/model-file.js';
import { compile } from '../../recipe/compile.js';
import { checkedRecipe, readRecipeInput } from '../../recipe/recipe.js';
import { withSettings } from '../../recipe/recipe-file.js';
import { blueprintOf, modelConfigOf } from '../../recipe/recipe-model.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { DEFAULT_TASK, type TaskName, taskKind, taskNamed, taskOfModel } from '../../tasks/tasks.js';
import { type CheckpointFile, familyOfCheckpoint, type Manifest } from './checkpoint-file.js';
import { assumedImages, recipeWithFacts, statedFacts } from './stated-facts.js';

/** The information needed to use a checkpoint. */
export interface ModelOfCheckpoint {
  /** Model, mean, std and crop are those of the checkpoint, unless the user states them; everything else is default. */
  readonly recipe: Recipe;
  /** Number of blocks in each stage. */
  readonly depths: readonly number[];
  /** Assumed values that neither the checkpoint nor the user states. One short text each. */
  readonly assumptions: readonly string[];
  /** Values in the recipe that contradict the checkpoint. One line each. */
  readonly differences: readonly string[];
  /** True for a backbone without a classifier; the recipe then has one class. Default false. */
  readonly isHeadless?: boolean;
}

interface From {
  readonly recipe?: string | undefined;
  readonly settings: readonly string[];
  /** Accepts a backbone without a classifier. Default: it is an error. */
  readonly allowsHeadless?: boolean;
}

/**
 * Determines the model in a checkpoint from the given recipe; without one, from the checkpoint's manifest; without a
 * manifest, from the weights and the files next to them. If the number of heads is not stated, it is that of the published
 * ViT of the same width. Image settings that the recipe leaves out are those that the checkpoint states.
 * @param from `settings`: `key=value` each; they override everything else
 * @throws InputError if something remains unknown or does not fit the weights
 */
export function modelOfCheckpoint(
  checkpoint: Pick<CheckpointFile, 'file' | 'manifest'>,
  from: From,
): ModelOfCheckpoint {
  const { file, manifest } = checkpoint;
  const family = familyOfCheckpoint(checkpoint);
  const { settings, allowsHeadless = false } = from;
  const isHeadless =
    allowsHeadless && family.factsOf(file.stages, file.path, manifest?.model).classes === null;
  const geometry = isHeadless
    ? { ...family.factsOf(file.stages, file.path, manifest?.model), classes: 1 }
    : wholeFacts(family, file, manifest?.model);
  if (from.recipe !== undefined) {
    const given = isHeadless ? [...settings, 'model.classes=1'] : settings;
    return { ...modelOfRecipe(checkpoint, from.recipe, given, geometry), isHeadless };
  }
  const { depths } = geometry;
  const known = manifest ? fromManifest(manifest, file.path) : fromWeights(family, geometry, file);
  const section = family.sectionOfStages(known.model, geometry);
  const input = withSettings(
    {
      name: file.path,
      model: section,
      incubation: { depths: family.modulesOf?.(section, depths) ?? depths },
      ...(known.task !== DEFAULT_TASK && { task: known.task, [known.task]: known.settings }),
      data: {
        format: taskKind(known.task).annotations?.format ?? 'folder',
        ...(known.mean && { mean: known.mean }),
        ...(known.std && { std: known.std }),
        ...(known.evalCrop && { eval_crop: known.evalCrop }),
        exif: known.exif,
        grey16: known.grey16,
      },
    },
    settings,
  );
  requireOwnTask(input, known.task, file.path);
  requireStated(input, family, geometry, file.path);
  const recipe = checkedRecipe(input, file.path);
  const assumed = manifest
    ? []
    : [...known.assumed, ...assumedImages(statedFacts(checkpoint), modelConfigOf(recipe))];
  return { recipe, depths, assumptions: notGiven(assumed, settings), differences: [], isHeadless };
}

/** The texts of the assumptions about keys that no setting states. */
function notGiven(assumed: readonly Assumption[], settings: readonly string[]): string[] {
  const given = settings.map((setting) => setting.split('=', 1)[0].trim());
  // A user who sets the heads knows the model, and would also have set an unusual epsilon.
  const isGiven = (key: string) =>
    given.includes(key) || (key === 'model.layer_norm_eps' && given.includes('model.heads'));
  return assumed.filter(({ key }) => !isGiven(key)).map(({ text }) => text);
}

function modelOfRecipe(
  checkpoint: Pick<CheckpointFile, 'file' | 'manifest'>,
  path: string,
  settings: readonly string[],
  { depths }: WeightsFacts,
): ModelOfCheckpoint {
  const { file } = checkpoint;
  const read = readRecipeInput(path, settings);
  const { input, differences } = withTaskOf(checkpoint, read);
  const { recipe: written } = read;
  requirePhaseOf(written, depths, file.path);
  const facts = statedFacts(checkpoint);
  const filled = recipeWithFacts(input, written, facts);
  const recipe = checkedRecipe(filled.input, path);
  const stated = Object.keys(Object(Object(input).data)).map((key) => `data.${key}`);
  return {
    recipe,
    depths,
    assumptions: notGiven(assumedImages(facts, modelConfigOf(recipe)), stated),
    differences: [...differences, ...filled.differences].map((text) => `${file.path} says ${text}`),
  };
}

interface Known {
  readonly model: Readonly<Record<string, unknown>>;
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  readonly evalCrop?: number | undefined;
  /** How the model's images were decoded. */
  readonly exif?: 'ignore' | 'apply' | undefined;
  readonly grey16?: 'clip' | 'scale' | undefined;
  readonly task: TaskName;
  /** The recipe's section with the name of the task. */
  readonly settings?: Readonly<Record<string, unknown>> | undefined;
  readonly assumed: readonly Assumption[];
}

/** The task that a manifest names, or that its model implies, with its settings. */
function taskOfManifest(manifest: Manifest, path: string): Pick<Known, 'task' | 'settings'> {
  const task = manifest.task === undefined ? taskOfModel(manifest.model) : taskNamed(manifest.task, path);
  return { task, settings: task === DEFAULT_TASK ? undefined : (manifest[task] ?? {}) };
}

/**
 * A recipe that names no task, with the task of the checkpoint. If it names another, that is a difference.
 * @throws InputError if it names none and the checkpoint's task has annotations: then the recipe is that of a classifier
 */
function withTaskOf(
  { file, manifest }: Pick<CheckpointFile, 'file' | 'manifest'>,
  { input, recipe, source }: ReturnType<typeof readRecipeInput>,
): { readonly input: unknown; readonly differences: readonly string[] } {
  if (manifest === undefined) return { input, differences: [] };
  const { task, settings } = taskOfManifest(manifest, file.path);
  if (task === (recipe.task ?? DEFAULT_TASK)) return { input, differences: [] };
  if (recipe.task !== undefined) return { input, differences: [`task ${task}, the recipe ${recipe.task}`] };
  const { does, annotations } = taskKind(task);
  if (annotations === undefined)
    return { input: { ...Object(input), task, [task]: settings }, differences: [] };
  throw new InputError(`${source} is a recipe for ${DEFAULT_TASK}, but ${file.path} ${does}`, {
    hint: `omit the recipe: the checkpoint states its model and images; or use one with task: ${task}`,
  });
}

function fromManifest(manifest: Manifest, path: string): Known {
  const { model, mean, std, eval_crop: evalCrop, exif, grey16, taps } = manifest;
  const decoder = { ...Object(model.decoder), ...(taps && { taps }) };
  // Versions without the key grey16 scaled 16-bit images.
  return {
    model: taps ? { ...model, decoder } : model,
    mean,
    std,
    evalCrop,
    exif,
    grey16: grey16 ?? 'scale',
    ...taskOfManifest(manifest, path),
    assumed: [],
  };
}

function fromWeights(family: ModelFamily, facts: WeightsFacts, file: ModelFile): Known {
  const stated = statedFacts({ file, manifest: undefined });
  const { section, assumed } = family.assumedSection(facts, stated, file.leftOut);
  const { mean, std, evalCrop } = stated;
  return { model: section, mean, std, evalCrop, task: DEFAULT_TASK, assumed };
}

/** @throws InputError if a setting names another task */
function requireOwnTask(input: unknown, task: TaskName, path: string): void {
  const { task: stated = DEFAULT_TASK } = Object(input);
  if (stated === task) return;
  throw new InputError(`${path} ${taskKind(task).does}, so task: ${String(stated)} is not possible`, {
    hint: 'omit the setting task: the checkpoint states its task',
  });
}

/** Checks that the input states all values that the weights do not determine and that cannot be guessed. */
function requireStated(input: unknown, family: ModelFamily, facts: WeightsFacts, path: string): void {
  const { model, data } = Object(input);
  family.requireKnown(model, facts, path);
  const { channels } = facts;
  if (channels !== 3 && (data.mean === undefined || data.std === undefined)) {
    throw new InputError(
      `${path}: the weights do not contain the mean and standard deviation of their ${channels}-channel images`,
      {
        hint: 'use --recipe R, or for example --set data.mean=[0.286] --set data.std=[0.353]',
      },
    );
  }
}

/** Checks that the stages are those of one of the recipe's phases, or of its undivided model. */
function requirePhaseOf(recipe: Recipe, depths: readonly number[], path: string): void {
  const possible = [...compile(recipe).map((phase) => phase.depths), [blueprintOf(recipe).depth]];
  const texts = [...new Set(possible.map((each) => each.join(' ')))];
  if (texts.includes(depths.join(' '))) return;
  throw new InputError(
    `${path} has stages of ${depths.join(' ')} blocks, which no model of ${recipe.name} has`,
    {
      hint: `the recipe's models have ${texts.join('; ')}: use the recipe of the checkpoint`,
    },
  );
}
