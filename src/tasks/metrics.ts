import { existsSync } from 'node:fs';
import type { TaskMetrics } from '../run/metric.js';
import { readJsonObject, runFolder } from '../run/run-folder.js';
import { classificationMetrics } from './classification/metrics.js';
import { DETECTION_METRICS } from './detection/metrics.js';
import { SEGMENTATION_METRICS } from './segmentation/metrics.js';

/** Task properties that a recipe or a summary records. */
interface TaskFacts {
  readonly classes?: number | undefined;
  /** Default: classification. */
  readonly task?: 'segmentation' | 'detection' | undefined;
}

/** The task properties of a recipe, such as a parsed `recipe.json`. Missing or invalid fields are left out. */
export function taskFactsOf(recipe: unknown): TaskFacts {
  const { classes, decoder }: { classes?: unknown; decoder?: unknown } = Object(Object(recipe).model);
  return {
    ...(typeof classes === 'number' && { classes }),
    ...(decoder !== undefined && {
      task: Object(decoder).kind === 'mask-rcnn' ? 'detection' : 'segmentation',
    }),
  };
}

/** The metrics of the run in a folder. If it has no recipe: the metrics of classification with many classes. */
export function metricsOfRun(root: string): TaskMetrics {
  const { recipe } = runFolder(root);
  return metricsOf(existsSync(recipe) ? taskFactsOf(readJsonObject(recipe)) : {});
}

/** The metrics of a run's task. */
export function metricsOf({ classes, task }: TaskFacts): TaskMetrics {
  if (task === 'segmentation') return SEGMENTATION_METRICS;
  if (task === 'detection') return DETECTION_METRICS;
  return classificationMetrics(classes);
}

/** The metrics of a model, from its geometry or the section `model` of a recipe. */
export function metricsOfModel(model: object): TaskMetrics {
  return metricsOf(taskFactsOf({ model }));
}
