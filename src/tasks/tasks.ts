import { InputError } from '../base/errors.js';

/** The first is the task of recipes and checkpoints that name none and have no decoder. */
const TASKS = ['classification', 'segmentation', 'detection'] as const;

export type TaskName = (typeof TASKS)[number];

export const DEFAULT_TASK = TASKS[0];

/** The kind of decoder that a task needs. */
const DECODERS: Readonly<Partial<Record<TaskName, string>>> = {
  segmentation: 'upernet',
  detection: 'mask-rcnn',
};

/** The task of a recipe's section `model`: that of its decoder. Sections of earlier versions do not name the kind of UperNet. */
export function taskOfModel(model: unknown): TaskName {
  const { decoder } = Object(model);
  if (decoder === undefined) return DEFAULT_TASK;
  const { kind } = Object(decoder);
  return TASKS.find((task) => DECODERS[task] !== undefined && DECODERS[task] === kind) ?? 'segmentation';
}

/**
 * The task with this name.
 * @param source of the name, for messages
 * @throws InputError if there is none
 */
export function taskNamed(name: unknown, source: string): TaskName {
  const found = TASKS.find((task) => task === name);
  if (found !== undefined) return found;
  throw new InputError(`${source}: task ${String(name)} is unknown`, {
    hint: `this version knows ${TASKS.join(', ')}: use the version or the program that trained it`,
  });
}
