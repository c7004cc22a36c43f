import { existsSync } from 'node:fs';
import type { TaskMetrics } from '../run/metric.js';
import { readJsonObject, runFolder } from '../run/run-folder.js';
import { classificationMetrics } from './classification/metrics.js';
import { DETECTION_METRICS } from './detection/metrics.js';
import { SEGMENTATION_METRICS } from './segmentation/metrics.js';
import { DEFAULT_TASK, type TaskName, taskNamed, taskOfModel } from './tasks.js';

/** Task properties that a recipe, a manifest or a summary records. */
interface TaskFacts {
  readonly classes?: number | undefined;
  /** Default: classification. */
  readonly task?: TaskName | undefined;
}

/**
 * The task properties of a recipe or a manifest, such as a parsed `recipe.json`. Missing or invalid fields are left out, and so is
 * classification.
 * @throws InputError if its task is unknown
 */
export function taskFactsOf(recipe: unknown): TaskFacts {
  const { model, task: stated } = Object(recipe);
  const { classes }: { classes?: unknown } = Object(model);
  const task = stated === undefined ? taskOfModel(model) : taskNamed(stated, 'the recipe');
  return { ...(typeof classes === 'number' && { classes }), ...(task !== DEFAULT_TASK && { task }) };
}

/** The metrics of the run in a folder. If it has no recipe: the metrics of classification with many classes. */
export function metricsOfRun(root: string): TaskMetrics {
  const { recipe } = runFolder(root);
  return metricsOfRecipe(existsSync(recipe) ? readJsonObject(recipe) : {});
}

/** The metrics of a run's task. */
export function metricsOf({ classes, task }: TaskFacts): TaskMetrics {
  if (task === 'segmentation') return SEGMENTATION_METRICS;
  if (task === 'detection') return DETECTION_METRICS;
  return classificationMetrics(classes);
}

/** The metrics of a recipe's or a manifest's task. */
export function metricsOfRecipe(recipe: unknown): TaskMetrics {
  return metricsOf(taskFactsOf(recipe));
}
