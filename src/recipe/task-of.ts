import type { ModelConfig } from '../models/family.js';
import { DEFAULT_TASK, type TaskWithSection, taskKind } from '../tasks/tasks.js';
import type { Task } from '../training/task.js';
import type { LossSettings } from '../training/task-kind.js';
import type { ChosenTask } from './phase.js';
import type { Recipe } from './recipe-schema.js';

/** Settings that do not matter to evaluation. */
const EVALUATION: LossSettings = {
  label_smoothing: 0,
  loss: 'cross-entropy',
  bce_threshold: null,
  class_weights: null,
};

type TaskKeys = 'task' | TaskWithSection;

/** The kind of a recipe's task, and its settings. */
export function chosenTask(recipe: Pick<Recipe, TaskKeys>): ChosenTask {
  const { task = DEFAULT_TASK } = recipe;
  return { taskKind: taskKind(task), taskSettings: task === DEFAULT_TASK ? {} : (recipe[task] ?? {}) };
}

/** The task of a recipe on a device. Without the settings of a phase: for evaluation only. */
export function taskOf(
  recipe: Pick<Recipe, TaskKeys | 'data'>,
  config: ModelConfig,
  device: string,
  training: LossSettings = EVALUATION,
): Task {
  const { mean, std } = recipe.data;
  const { taskKind: kind, taskSettings: settings } = chosenTask(recipe);
  return kind.make({ config, mean, std, device, settings, training });
}
