import { existsSync } from 'node:fs';
import type { TaskMetrics } from '../run/metric.js';
import { readJsonObject, runFolder } from '../run/run-folder.js';
import { DEFAULT_TASK, type TaskName, taskKind, taskNamed, taskOfModel } from './tasks.js';

/** Task properties that a recipe, a manifest or a summary records. */
interface TaskFacts {
  readonly classes?: number | undefined;
  /** Default: classification. */
  readonly task?: TaskName | undefined;
}

/**
 * The task properties of a recipe or a manifest, such as a parsed `recipe.json`. Missing or invalid fields are left out, and so is
 * classification.
 * @param source of the recipe, for messages
 * @throws InputError if its task is unknown
 */
export function taskFactsOf(recipe: unknown, source = 'the recipe'): TaskFacts {
  const { model, task: stated } = Object(recipe);
  const { classes }: { classes?: unknown } = Object(model);
  const task = stated === undefined ? taskOfModel(model) : taskNamed(stated, source);
  return { ...(typeof classes === 'number' && { classes }), ...(task !== DEFAULT_TASK && { task }) };
}

/** The metrics of the run in a folder. If it has no recipe: the metrics of classification with many classes. */
export function metricsOfRun(root: string): TaskMetrics {
  const { recipe } = runFolder(root);
  return metricsOfRecipe(existsSync(recipe) ? readJsonObject(recipe) : {}, recipe);
}

/** The metrics of a run's task. */
export function metricsOf({ classes, task }: TaskFacts): TaskMetrics {
  return taskKind(task).metrics(classes);
}

/**
 * The metrics of a recipe's or a manifest's task.
 * @param source of the recipe, for messages
 * @throws InputError if its task is unknown
 */
export function metricsOfRecipe(recipe: unknown, source?: string): TaskMetrics {
  return metricsOf(taskFactsOf(recipe, source));
}
