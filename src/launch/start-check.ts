import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { familyOf, familyOfStages } from '../models/families/families.js';
import { requireFinite } from '../models/model-file/non-finite.js';
import { readingNotes } from '../phase/images/reading-notes.js';
import { compile } from '../recipe/compile.js';
import type { Phase } from '../recipe/phase.js';
import { checkedRecipe, type WrittenRecipe } from '../recipe/recipe.js';
import { metaDepthsOf, modelConfigOf, targetDepths } from '../recipe/recipe-model.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { hasBegun } from '../run/run-folder.js';
import { recordedRecipe, withOwnTeachers } from './recorded-choices.js';
import { assumedImages } from './start/assumed-images.js';
import type { CheckpointFile, CheckpointFileOptions } from './start/checkpoint-file.js';
import { startFacts, teacherFacts } from './start/copy-facts.js';
import { recipeWithFacts } from './start/recipe-with-facts.js';
import {
  changeSinceCopy,
  readGiven,
  type Wanted,
  wantedBy,
  wantedStart,
  wantedTeacher,
} from './start/start-copy.js';
import type { ReadWeights } from './start/start-copy-write.js';
import { statedFacts } from './start/stated-facts.js';
import { requireTeacher } from './start/teacher.js';
import { startClasses } from './start-classes.js';

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
  const checkpoint = await readGiven(runDir, wanted, options);
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
    const checkpoint = await readGiven(runDir, wanted, options);
    const known = requireTeacher(checkpoint, distill, phases[0]);
    weights.push({ wanted, checkpoint, about: teacherFacts(known, phases[0].seed) });
    requireFinite(checkpoint.file.stages, distill.teacher);
    for (const note of readingNotes(checkpoint.file, 'distill.weights: ')) notes.add(note);
    for (const text of known.assumptions) assumptions.add(`${text}, of distill.teacher ${checkpoint.name}`);
  }
  return { notes: [...notes], assumptions: [...assumptions], weights };
}

/** @returns names of the tensors that a new head leaves out */
function requireFits({ key, name }: Wanted, { file }: CheckpointFile, recipe: Recipe): readonly string[] {
  const depths = key === 'start.meta' ? metaDepthsOf(recipe) : targetDepths(recipe);
  const family = familyOf(recipe.model);
  const held = familyOfStages(file.stages);
  if (held !== family) {
    throw new InputError(
      `${key} ${name} contains a ${held.title}, but the recipe's model is a ${family.title}`,
      {
        hint: `use weights of a ${family.title}, or set model.family to ${held.name}`,
      },
    );
  }
  const found = family.factsOf(file.stages, name);
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
  'norm after pooling': 'omit model.pool and model.fc_norm, or set start.head to new',
};
