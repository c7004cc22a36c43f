import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { className, labelsByName, listed, numbered, sameClasses } from '../data/class-names.js';
import { folderContent, folderLayout } from '../data/formats/folder-layout.js';
import { saysNames } from '../data/model-labels.js';
import { shownName } from '../files/file-names.js';
import { familiesIn, familyOf } from '../models/families/families.js';
import { requireFinite } from '../models/model-file/non-finite.js';
import { keptHeadOf, openAnyClasses, placeOf } from '../phase/images/images.js';
import { readingNotes } from '../phase/images/reading-notes.js';
import { compile } from '../recipe/compile.js';
import type { Phase } from '../recipe/phase.js';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import { metaDepthsOf, modelConfigOf, targetDepths } from '../recipe/recipe-model.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { hasBegun } from '../run/run-folder.js';
import { taskKind } from '../tasks/tasks.js';
import { recordedRecipe, withOwnTeachers } from './run-recipe.js';
import { classesOf, doubtfulClasses } from './start/checkpoint-classes.js';
import {
  type CheckpointFile,
  type CheckpointFileOptions,
  familyOfCheckpoint,
} from './start/checkpoint-file.js';
import { requireTeacher } from './start/given-weights.js';
import {
  changeSinceCopy,
  readGiven,
  type Wanted,
  wantedBy,
  wantedStart,
  wantedTeacher,
} from './start/start-copy.js';
import { type ReadWeights, startFacts, teacherFacts } from './start/start-copy-write.js';
import { assumedImages, recipeWithFacts, statedFacts } from './start/stated-facts.js';

/** A recipe that is completed with the values that its weights state, and notes for the user. */
export interface StartedRecipe {
  readonly recipe: Recipe;
  readonly notes: readonly string[];
  /** Assumed values that neither the recipe nor the weights state. */
  readonly assumptions: readonly string[];
  /** The weights, to be copied into the run with `keepWeights` once it is prepared; none if the run has its copies already. */
  readonly weights: readonly ReadWeights[];
}

/**
 * Checks the weights that a recipe starts from or learns from, before hours are spent on earlier phases. If the recipe does
 * not state mean, standard deviation, crop, epsilon or pooling, the values that the weights state are used. A run that has its own
 * copy of the weights does not read the original. A run that has begun keeps its recorded values and reads no weights.
 * @throws InputError if weights are missing, not finite, or do not fit the recipe's model
 */
export async function checkStart(
  written: WrittenRecipe,
  runDir: string,
  options: CheckpointFileOptions = {},
): Promise<StartedRecipe> {
  if (hasBegun(runDir)) {
    const { recipe } = recordedRecipe(written, runDir);
    return { recipe, notes: changedOriginals(compile(recipe), runDir), assumptions: [], weights: [] };
  }
  const started = await withStart(written, runDir, options);
  const recipe = checkedRecipe(withOwnTeachers(started.input), written.source);
  const phases = compile(recipe);
  const ofTeachers = await checkTeachers(phases, runDir, options);
  return {
    recipe,
    notes: [...started.notes, ...ofTeachers.notes, ...changedOriginals(phases, runDir)],
    assumptions: [...started.assumptions, ...ofTeachers.assumptions],
    weights: [...started.weights, ...ofTeachers.weights],
  };
}

function changedOriginals(phases: readonly Phase[], runDir: string): string[] {
  return wantedBy(phases).flatMap((wanted) => changeSinceCopy(runDir, wanted) ?? []);
}

/** The recipe as written, completed from the weights that `start` names. */
async function withStart(written: WrittenRecipe, runDir: string, options: CheckpointFileOptions) {
  const wanted = wantedStart(written.recipe.start);
  if (wanted === undefined) return { input: written.input, notes: [], assumptions: [], weights: [] };
  const { key, name } = wanted;
  const families = familiesIn(written.recipe.model);
  const checkpoint = await readGiven(runDir, wanted, { ...options, families });
  const facts = statedFacts(checkpoint);
  const filled = recipeWithFacts(written.input, written.recipe, facts);
  const recipe = checkedRecipe(filled.input, written.source);
  const leftOut = requireFits(wanted, checkpoint, recipe);
  requireFinite(checkpoint.file.stages, name);
  const labels = startClasses(recipe, checkpoint);
  const stated = Object.keys(Object(Object(written.input).data)).map((each) => `data.${each}`);
  const label = `${key} ${checkpoint.name}`;
  return {
    input: withWeightsKind(withClasses(filled.input, labels.classes), checkpoint),
    notes: [
      ...readingNotes(checkpoint.file, 'start.weights: '),
      ...(leftOut.length === 0 ? [] : [`${label}: new head: ignored ${leftOut.join(', ')}`]),
      ...(filled.taken.length === 0 ? [] : [`${label} states ${filled.taken.join(', ')}: taken`]),
      ...filled.differences.map((text) => `${label} states ${text}: the recipe's is used`),
      ...labels.notes,
    ],
    assumptions: [
      ...assumedImages(facts, modelConfigOf(recipe))
        .filter((each) => !stated.includes(each.key))
        .map(({ text }) => `${text}, of ${label}`),
      ...labels.assumptions,
    ],
    weights: [{ wanted, checkpoint, about: startFacts(compile(recipe)[0], checkpoint) }],
  };
}

function withClasses(input: unknown, classes: readonly string[] | undefined): unknown {
  if (classes === undefined) return input;
  const whole = Object(input);
  return { ...whole, data: { ...whole.data, classes } };
}

/** Records which of a file's weights were used, unless they are the averages of our checkpoints, which are the default. */
function withWeightsKind(input: unknown, { file }: CheckpointFile): unknown {
  if (file.chosen === undefined || (file.format === 'checkpoint' && file.chosen.kind === 'ema')) return input;
  const whole = Object(input);
  return { ...whole, start: { ...whole.start, weights: file.chosen.kind } };
}

async function checkTeachers(phases: readonly Phase[], runDir: string, options: CheckpointFileOptions) {
  const sections = phases.flatMap(({ settings }) => settings.distill ?? []);
  const notes = new Set<string>();
  const assumptions = new Set<string>();
  const weights: ReadWeights[] = [];
  for (const distill of new Map(sections.map((each) => [JSON.stringify(each), each])).values()) {
    const wanted = wantedTeacher(distill);
    const checkpoint = await readGiven(runDir, wanted, { ...options, families: familiesIn(phases[0].model) });
    const known = requireTeacher(checkpoint, distill, phases[0]);
    weights.push({ wanted, checkpoint, about: teacherFacts(known, phases[0].seed) });
    requireFinite(checkpoint.file.stages, distill.teacher);
    for (const note of readingNotes(checkpoint.file, 'distill.weights: ')) notes.add(note);
    for (const text of known.assumptions) assumptions.add(`${text}, of distill.teacher ${checkpoint.name}`);
  }
  return { notes: [...notes], assumptions: [...assumptions], weights };
}

/** @returns names of the tensors that a new head leaves out */
function requireFits(
  { key, name }: Wanted,
  { file, manifest }: CheckpointFile,
  recipe: Recipe,
): readonly string[] {
  const depths = key === 'start.meta' ? metaDepthsOf(recipe) : targetDepths(recipe);
  const family = familyOf(recipe.model);
  // Without a manifest, nothing states a user's own family.
  const isOwn = familiesIn(recipe.model).includes(family);
  const held = isOwn && manifest === undefined ? family : familyOfCheckpoint({ file, manifest });
  if (held !== family) {
    throw new InputError(
      `${key} ${name} contains a ${held.title}, but the recipe's model is a ${family.title}`,
      {
        hint: `use weights of a ${family.title}, or set model.family to ${held.name}`,
      },
    );
  }
  const found = family.factsOf(file.stages, name, { ...(manifest?.model ?? recipe.model) });
  const wanted = modelConfigOf(recipe);
  const isNew = recipe.start.head === 'new';
  const sum = (list: readonly number[]) => list.reduce((a, b) => a + b, 0);
  const classes = ['classes', found.classes ?? 'none', wanted.classes] as const;
  const rows = [
    ['blocks', sum(found.depths), sum(depths)] as const,
    ...family.compare(found, wanted, { keepsHead: !isNew, isMeta: key === 'start.meta' }),
    ...(isNew ? [] : [classes]),
  ];
  const wrong = rows.find(([, has, needs]) => has !== needs);
  if (wrong === undefined) return isNew ? family.newHead(wanted, file.stages).leftOut : [];
  const [what, has, needs] = wrong;
  throw new InputError(`${key} ${name}: ${what} ${has}, but the recipe's model has ${needs}`, {
    hint:
      (what === 'classes' ? classesHint(found.classes, wanted.classes) : HINTS[what]) ??
      `use weights of the recipe's model; to see what these are: ${ownCommand('inspect', name)}`,
  });
}

/** What is likely meant comes first: more classes than the head has need a new one, fewer may be a subset. */
function classesHint(has: number | null, wanted: number): string {
  const fresh = 'set start.head to new: a new head is trained for the classes of the recipe';
  if (has === null) return fresh;
  const kept = `set model.classes to ${has} to keep the head; it may have more classes than the images`;
  return has < wanted ? `${fresh}; or ${kept}` : `${kept}; or ${fresh}`;
}

const HINTS: Readonly<Record<string, string>> = {
  decoder: 'set start.head to new: then a new head or decoder is trained',
  'norm after pooling': 'omit model.pool and model.fc_norm, or set start.head to new',
};

/** The classes of a kept head, if the recipe does not list them. */
interface StartClasses {
  /** Names by label; undefined if the labels do not follow from names. */
  readonly classes?: readonly string[];
  readonly notes: readonly string[];
  readonly assumptions: readonly string[];
}

const NOTHING: StartClasses = { notes: [], assumptions: [] };

/**
 * The class of each label of a kept head. If the head names its classes, the images may have only some of them.
 * The model of the recipe has as many classes as the head.
 * @throws InputError if the images have a different number of classes and the names do not identify them
 */
function startClasses(
  { data, model, start, task }: Pick<Recipe, 'data' | 'model' | 'start' | 'task'>,
  checkpoint: CheckpointFile,
): StartClasses {
  const label = keptHeadOf({ start });
  if (label === undefined || data.classes !== undefined) return NOTHING;
  const named = classesOf(checkpoint);
  const found = classesInData({ data });
  if (taskKind(task).annotations !== undefined) {
    if (named !== undefined && found !== undefined) requireSame(found, named.names, label);
    return NOTHING;
  }
  const isByName =
    named !== undefined &&
    found !== undefined &&
    saysNames(found, { count: named.names.length, named, isCertain: named.isOurs });
  if (!isByName) {
    if (found !== undefined) requireCount(found, model.classes, label, named?.names);
    const text = `the labels of the images are those of ${label}, which does not name its classes`;
    return named === undefined ? { notes: [], assumptions: [text] } : NOTHING;
  }
  const { names } = named;
  const labelsOf = labelsByName(found);
  const missing = names.filter((name) => labelsOf(name).length === 0);
  const subset =
    missing.length === 0
      ? []
      : [
          `${label}: the images are of ${found.length} of its ${names.length} classes; none of ${listed(missing)}`,
        ];
  return {
    classes: names,
    notes: [`labels are those of ${label}: ${numbered(names)}`, ...subset],
    assumptions: [doubtfulClasses(checkpoint) ?? []].flat(),
  };
}

/**
 * Names of the classes of the training images. Undefined if they have only numbers, or if the images cannot be opened:
 * opening them for training reports that error.
 */
function classesInData({ data }: Pick<Recipe, 'data'>): readonly string[] | undefined {
  const { format, path } = placeOf({ data });
  try {
    if (format === 'folder' && path !== undefined) {
      const { folders } = folderContent(folderLayout(path).parts?.train ?? path);
      return folders.length === 0 ? undefined : folders.map((name) => className(shownName(name)));
    }
    const { train } = openAnyClasses({ data });
    return train.isUnnamed ? undefined : train.classes;
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

/**
 * The annotations of images have the labels of their own data set, which cannot be changed to those of a kept head.
 * @throws InputError if the labels are not those of the head
 */
function requireSame(found: readonly string[], names: readonly string[], label: string): void {
  if (sameClasses(found, names)) return;
  const at = names.findIndex((name, i) => className(name) !== className(found[i] ?? ''));
  const what =
    found.length === names.length
      ? `class ${at} is ${names[at]} in the head and ${found[at]} in the images`
      : `it has ${names.length} classes, the images have ${found.length}`;
  throw new InputError(`${label} has other classes: ${what}`, {
    hint: 'set start.head to new: a new head is trained for the classes of the images',
  });
}

function requireCount(
  found: readonly string[],
  classes: number,
  label: string,
  names: readonly string[] | undefined,
): void {
  if (found.length === classes) return;
  const why = names === undefined ? 'does not name them' : `has other names: ${listed(names, 2)}`;
  throw new InputError(
    `${label} has ${classes} classes and ${why}; the images have ${found.length}: ${listed(found)}`,
    {
      hint:
        `list all ${classes} names in data.classes, in label order, as the folders are named; ` +
        `or set start.head to new and model.classes to ${found.length}`,
    },
  );
}
