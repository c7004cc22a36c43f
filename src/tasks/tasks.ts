import { z } from 'zod';
import { InputError } from '../base/errors.js';
import type { TaskKind } from '../training/task-kind.js';
import { classificationKind } from './classification/kind.js';
import { detectionKind } from './detection/kind.js';
import { detectionSection } from './detection/section.js';
import { segmentationKind } from './segmentation/kind.js';
import { segmentationSection } from './segmentation/section.js';

const TASKS = [classificationKind, segmentationKind, detectionKind] as readonly TaskKind[];

/** The sections of a recipe with the settings of its task. */
export const taskSections = {
  segmentation: segmentationSection.optional(),
  detection: detectionSection.optional(),
};

/** The task of recipes and checkpoints that name none and have no decoder; it has no section. */
export const DEFAULT_TASK = 'classification';

export type TaskWithSection = keyof typeof taskSections;
export type TaskName = typeof DEFAULT_TASK | TaskWithSection;

/** The names of the sections. */
export const TASKS_WITH_SECTION = Object.keys(taskSections) as readonly TaskWithSection[];

const NAMES: readonly TaskName[] = [DEFAULT_TASK, ...TASKS_WITH_SECTION];

/** The key `task` of a recipe. */
export const taskKey = z
  .enum(NAMES as [TaskName, ...TaskName[]])
  .describe(
    'What the model predicts: a class for each image (the default) or for each pixel, or objects with boxes and masks.',
  )
  .optional();

/** @throws InputError if there is no such task, as in a record of a later version */
export function taskKind(name: TaskName = DEFAULT_TASK): TaskKind {
  const found = TASKS.find((task) => task.name === name);
  if (found === undefined) throw unknownTask(name, 'a record');
  return found;
}

/** The task whose images have this format; undefined if they have one class each. */
export function taskOfFormat(format: string): TaskKind | undefined {
  return TASKS.find(({ annotations }) => annotations?.format === format);
}

/** Whether this is the name of a task. */
export function isTask(name: unknown): name is TaskName {
  return NAMES.some((task) => task === name);
}

/** Whether this is the name of a task with a section of its own. */
export function hasSection(name: unknown): name is TaskWithSection {
  return TASKS_WITH_SECTION.some((task) => task === name);
}

/** The first task with a decoder: decoders of earlier versions do not name their kind. */
const FIRST_DECODER: TaskName = 'segmentation';

/** The task of a recipe's section `model`: that of its decoder. */
export function taskOfModel(model: unknown): TaskName {
  const { decoder } = Object(model);
  if (decoder === undefined) return DEFAULT_TASK;
  const { kind } = Object(decoder);
  const isOf = (name: TaskWithSection) => kind !== undefined && taskKind(name).decoder?.kind === kind;
  return TASKS_WITH_SECTION.find(isOf) ?? FIRST_DECODER;
}

/**
 * The task with this name.
 * @param source of the name, for messages
 * @throws InputError if there is none
 */
export function taskNamed(name: unknown, source: string): TaskName {
  if (isTask(name)) return name;
  throw unknownTask(name, source);
}

function unknownTask(name: unknown, source: string): InputError {
  return new InputError(`${source}: task ${String(name)} is unknown`, {
    hint: `this version knows ${NAMES.join(', ')}: use the version or the program that trained it`,
  });
}
