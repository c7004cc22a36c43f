import type { Dataset } from '../../data/dataset.js';
import type { CheckpointFile } from '../../launch/start/checkpoint-file.js';
import type { LoadedModel } from '../../launch/start/loaded-model.js';
import type { ModelOfCheckpoint } from '../../launch/start/model-of-checkpoint.js';
import { DEFAULT_TASK, type TaskName } from '../../tasks/tasks.js';
import type { AnnotatedEvalOptions } from './eval-annotated.js';
import type { AnnotatedPredictOptions } from './predict-annotated.js';

/** `eval` and `predict` for a task whose images have annotations instead of one class each. */
interface TaskCommands {
  evaluate(
    checkpoint: CheckpointFile,
    known: ModelOfCheckpoint,
    options: AnnotatedEvalOptions,
  ): Promise<void>;
  predict(loaded: LoadedModel, images: Dataset, options: AnnotatedPredictOptions): Promise<void>;
}

/** Loaded when they are used. Other tasks are evaluated as classification is, with their own metrics. */
const COMMANDS: Readonly<Partial<Record<TaskName, () => Promise<TaskCommands>>>> = {
  segmentation: async () => ({
    evaluate: (await import('./eval-segmentation.js')).evaluateSegmentation,
    predict: (await import('./predict-label-maps.js')).predictLabelMaps,
  }),
  detection: async () => ({
    evaluate: (await import('./eval-detection.js')).evaluateDetection,
    predict: (await import('./predict-boxes.js')).predictBoxes,
  }),
};

/** The commands of a recipe's task; undefined if it has none of its own. */
export async function commandsOf({
  task = DEFAULT_TASK,
}: ModelOfCheckpoint['recipe']): Promise<TaskCommands | undefined> {
  return COMMANDS[task]?.();
}
