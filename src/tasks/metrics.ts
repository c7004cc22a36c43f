import { existsSync } from 'node:fs';
import type { TaskMetrics } from '../run/metric.js';
import { readJsonObject, runFolder } from '../run/run-folder.js';
import { classificationMetrics } from './classification/metrics.js';

/** Task properties that a recipe or a summary records. */
interface TaskFacts {
  readonly classes?: number | undefined;
}

/** The task properties of a recipe, such as a parsed `recipe.json`. Missing or invalid fields are left out. */
export function taskFactsOf(recipe: unknown): TaskFacts {
  const { classes }: { classes?: unknown } = Object(Object(recipe).model);
  return typeof classes === 'number' ? { classes } : {};
}

/** The metrics of the run in a folder. If it has no recipe: the metrics of classification with many classes. */
export function metricsOfRun(root: string): TaskMetrics {
  const { recipe } = runFolder(root);
  return metricsOf(existsSync(recipe) ? taskFactsOf(readJsonObject(recipe)) : {});
}

/** The metrics of a run's task. Classification is the only task so far. */
export function metricsOf({ classes }: TaskFacts): TaskMetrics {
  return classificationMetrics(classes);
}
