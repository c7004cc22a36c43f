import type { Phase } from '../../recipe/phase.js';
import type { CheckpointFile } from './checkpoint-file.js';
import type { ModelOfCheckpoint } from './model-of-checkpoint.js';
import type { CopyFacts } from './start-copy-write.js';

/** The facts of weights that a run starts from; what the weights do not show is as in the run. */
export function startFacts(
  { seed, model, data, familyOf }: Phase,
  { file, manifest }: CheckpointFile,
): CopyFacts {
  const family = familyOf(model);
  const facts = family.factsOf(file.stages, file.path, { ...(manifest?.model ?? model) });
  const section = family.sectionOfStages({ ...model, classes: facts.classes ?? model.classes }, facts);
  return { seed, depths: facts.depths, model: section, data };
}

export function teacherFacts(
  { recipe, depths }: Pick<ModelOfCheckpoint, 'recipe' | 'depths'>,
  seed: number,
): CopyFacts {
  return { seed, depths, model: recipe.model, data: recipe.data };
}
