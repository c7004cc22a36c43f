import { assemble, type StageWeights } from '../../method/assemble.js';
import { familyOf } from '../../models/families/families.js';
import type { ModelConfig } from '../../models/family.js';
import { requireFinite } from '../../models/model-file/non-finite.js';
import type { StagedModel } from '../../models/staged.js';
import { type EvaluationBatches, evaluationOf } from '../../phase/images/images.js';
import { blueprintOf, modelConfigOf } from '../../recipe/recipe-model.js';
import { chosenTask, taskOf } from '../../recipe/task-of.js';
import { openDevice, setThreads } from '../../torch/engine.js';
import { type Precision, precisionOn } from '../../torch/precision.js';
import { Generator } from '../../torch/random.js';
import type { Task } from '../../training/task.js';
import type { CheckpointFile } from './checkpoint-file.js';
import type { ModelOfCheckpoint } from './model-of-checkpoint.js';

/** A checkpoint's model on its device, with everything that is needed to evaluate it on images. */
export interface LoadedModel {
  readonly config: ModelConfig;
  readonly model: StagedModel;
  readonly task: Task;
  /** How images are read. */
  readonly evaluation: EvaluationBatches;
  readonly device: string;
  readonly precision: Precision;
}

/**
 * Loads the model of a checkpoint as `eval` and `predict` use it.
 * @param note called if the weights are adapted to another image size
 * @throws InputError if weights are not finite, do not fit the model, or the device does not exist
 */
export function loadModel(
  { file, name }: CheckpointFile,
  { recipe, depths, isHeadless = false }: Pick<ModelOfCheckpoint, 'recipe' | 'depths' | 'isHeadless'>,
  note: (line: string) => void,
): LoadedModel {
  const { run, training } = recipe;
  const config = modelConfigOf(recipe);
  if (run.threads !== 'auto') setThreads(run.threads);
  const device = openDevice(run.device);
  requireFinite(file.stages, name);
  const family = familyOf(recipe.model);
  const { stages, note: change } = family.fit(file.stages, config, file.path);
  if (change !== undefined) note(change);
  const weights = stages.map((each): StageWeights => ({ weights: each, source: file.path }));
  const last = weights.at(-1);
  if (isHeadless && last !== undefined) {
    // The head is built, but only its input is used.
    weights.splice(-1, 1, { ...last, isFresh: family.newHead(config, stages).isFresh });
  }
  const generator = new Generator().seed([0, 'init']);
  const context = { device, dtype: 'F32', generator } as const;
  return {
    config,
    model: assemble(blueprintOf(recipe), depths, weights, context),
    task: taskOf(recipe, config, device),
    evaluation: evaluationOf({ ...chosenTask(recipe), data: recipe.data, model: recipe.model }),
    device,
    precision: precisionOn(device, training.precision ?? 'auto'),
  };
}
