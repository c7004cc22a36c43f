import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../base/errors.js';
import { allFamilies } from '../models/families/families.js';
import type { ModelFamily } from '../models/family.js';
import {
  DEFAULT_TASK,
  hasSection,
  isTask,
  TASKS_WITH_SECTION,
  type TaskName,
  taskKind,
  taskOfFormat,
  taskOfModel,
} from '../tasks/tasks.js';
import type { Annotations, ClassifierKey, TaskKind } from '../training/task-kind.js';
import type { Phase } from './phase.js';
import { dataSection } from './recipe-data.js';
import type { Recipe } from './recipe-schema.js';

/**
 * A recipe as written, with the sections that its task needs: a section with the name of the task, and `model.decoder` if the task
 * has one. A model with a decoder can only be used for the task of the decoder, so `model.decoder` implies the task.
 * @param source for messages
 * @throws InputError if a section belongs to another task, or the family has no decoder
 */
export function withTask(input: unknown, source: string, own: readonly ModelFamily[] = []): unknown {
  const { task: stated, model } = Object(input);
  const task: unknown = stated === undefined ? (impliedTask(model) ?? DEFAULT_TASK) : stated;
  // An unknown task is left to the schema.
  if (!isTask(task)) return input;
  requireOwnSections(input, task, source);
  if (!hasSection(task)) return input;
  const { decoder } = taskKind(task);
  const named = { ...Object(input), task, [task]: Object(input)[task] ?? {} };
  if (decoder === undefined) return named;
  requireDecodable(Object(model).family, task, source, allFamilies(own));
  // A copy keeps the user's families, which `model` carries.
  return { ...named, model: Object(model) === model ? withDecoder(model, decoder) : model };
}

/** The task of a section `model`, if it has a decoder. An unknown kind of decoder is left to the schema. */
function impliedTask(model: unknown): TaskName | undefined {
  const { decoder } = Object(model);
  if (decoder === undefined) return undefined;
  const task = taskOfModel(model);
  const { kind } = Object(decoder);
  return kind === undefined || kind === taskKind(task).decoder?.kind ? task : undefined;
}

function withDecoder(model: object, { kind, model: defaults }: NonNullable<TaskKind['decoder']>): object {
  const { decoder = {} } = model as { readonly decoder?: unknown };
  const isSection = Object(decoder) === decoder;
  return { ...defaults, ...model, decoder: isSection ? { kind, ...Object(decoder) } : decoder };
}

/** @throws InputError naming a section of another task */
function requireOwnSections(input: unknown, task: unknown, source: string): void {
  const { model } = Object(input);
  const implied = impliedTask(model);
  const found = TASKS_WITH_SECTION.find((each) => each !== task && Object(input)[each] !== undefined);
  const isOther = implied !== undefined && implied !== task && !isUnnamed(model, task);
  const kind = Object(Object(model).decoder).kind;
  const decoder = kind === undefined ? 'model.decoder' : `model.decoder.kind ${kind}`;
  const [other, of] = isOther ? [decoder, implied] : [found, found];
  if (other === undefined) return;
  throw new InputError(`${source}: ${other} is only for task: ${of}`, {
    hint: `set task: ${of}, or remove ${isOther ? 'model.decoder' : other}`,
  });
}

/** Whether a model has a decoder without a kind, which is then that of the task. */
function isUnnamed(model: unknown, task: unknown): boolean {
  const hasDecoder = hasSection(task) && taskKind(task).decoder !== undefined;
  return hasDecoder && Object(Object(model).decoder).kind === undefined;
}

/** An unknown family is left to the schema. */
function requireDecodable(
  name: unknown,
  task: TaskName,
  source: string,
  families: readonly ModelFamily[],
): void {
  const takesDecoder = ({ section }: ModelFamily) => 'decoder' in section.shape;
  const found = families.find((family) => family.name === name);
  if (found === undefined || takesDecoder(found)) return;
  throw new InputError(`${source}: a ${found.title} has no decoder for task: ${task}`, {
    hint: `set model.family: ${families
      .filter(takesDecoder)
      .map((family) => family.name)
      .join(' or ')}`,
  });
}

/**
 * Checks that a recipe uses only what its task supports.
 * @throws InputError naming the key
 */
export function requireTaskKeys(
  { task, data }: Pick<Recipe, 'task' | 'data'>,
  phases: readonly Phase[],
  source: string,
): void {
  const kind = taskKind(task);
  const refuse = (key: string, hint: string) => {
    throw new InputError(`${source}: ${key}: not supported by task: ${kind.name}`, { hint });
  };
  if (kind.annotations === undefined) requireImageLabels(data, source);
  else requireAnnotated(data, kind.annotations, { task: kind.name, refuse });
  for (const phase of phases) {
    const [used, hint] = firstUsed(kind.unsupported, phase) ?? [];
    if (used !== undefined && hint !== undefined) refuse(`${phase.name}: ${used}`, hint);
    kind.checkPhase?.(phase, source);
  }
}

function requireImageLabels({ format }: Recipe['data'], source: string): void {
  const task = taskOfFormat(format);
  if (task === undefined) return;
  const { name, annotations } = task;
  throw new InputError(
    `${source}: data.format ${format} has a label for each ${annotations?.each}, not for each image`,
    { hint: `set task: ${name}` },
  );
}

/** The images have annotations, which classes, transforms and sampling of images with one class each do not fit. */
function requireAnnotated(
  data: Recipe['data'],
  { format, name: labels }: Pick<Annotations<never>, 'format' | 'name'>,
  { task, refuse }: { readonly task: string; readonly refuse: (key: string, hint: string) => void },
): void {
  if (data.format !== format) refuse(`data.format ${data.format}`, `use data.format: ${format}`);
  const defaults = dataSection.parse({ format });
  if (data.augment !== 'none' && !isDeepStrictEqual(data.augment, defaults.augment))
    refuse('data.augment', `its transforms are in ${task}.augment`);
  if (data.classes !== undefined) refuse('data.classes', `the classes are those of the ${labels}`);
  if (data.sampling !== 'uniform')
    refuse(`data.sampling: ${data.sampling}`, 'remove it: an image has many classes');
  if (data.exif === 'apply') refuse('data.exif: apply', `${labels} have no orientation: remove it`);
  if (data.bad_images === 'replace') refuse('data.bad_images: replace', 'repair or remove damaged images');
}

/** The first of these keys that a phase uses, as written in messages, and what to do. */
export function firstUsed(
  keys: readonly ClassifierKey[],
  phase: Phase,
): readonly [key: string, hint: string] | undefined {
  for (const key of keys) {
    const used = USED[key](phase);
    if (used) return used;
  }
  return undefined;
}

/** How a phase uses a key that its task may not support, and what to do; false if it does not. */
const USED: Readonly<Record<ClassifierKey, (phase: Phase) => readonly [key: string, hint: string] | false>> =
  {
    mixup: ({ data: { augment } }) =>
      augment !== 'none' &&
      augment.mixup + augment.cutmix > 0 && [
        'data.augment.mixup and cutmix',
        'remove them, or set both to 0',
      ],
    class_weights: ({ settings }) =>
      settings.class_weights !== null && ['class_weights', 'remove it, or set it to null'],
    loss: ({ settings: { loss } }) => loss !== 'cross-entropy' && [`loss ${loss}`, 'remove it'],
    label_smoothing: ({ settings: { label_smoothing: smoothing } }) =>
      smoothing !== 0 && [`label_smoothing ${smoothing}`, 'remove it, or set it to 0'],
    distill: ({ settings }) => settings.distill !== null && ['distill', 'remove it, or set it to null'],
    curriculum: ({ settings }) =>
      settings.curriculum !== null && ['curriculum', 'remove it, or set it to null'],
    objective: ({ objective }) => objective === 'imitate' && ['objective imitate', 'remove it'],
    local: ({ local }) => local !== undefined && ['local', 'remove it: InfoPro and DGL train classifiers'],
  };
