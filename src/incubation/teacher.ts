import { InputError } from '../base/errors.js';
import type { StagedModel } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { assemble } from './assemble.js';
import { readCheckpointFile } from './checkpoint-file.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';
import { blueprintOf, vitConfigOf } from './recipe-model.js';
import type { Recipe } from './recipe-schema.js';

/**
 * A trained model that teaches another, frozen.
 * @param name a file, a run's phase, or a name on the hub
 * @throws InputError where its weights do not tell what it is, or it takes other images than the recipe's model
 */
export async function teacherOf(
  name: string,
  recipe: Recipe,
  context: Omit<InitContext, 'dtype'>,
): Promise<StagedModel> {
  const checkpoint = await readCheckpointFile(name);
  const known = modelOfCheckpoint(checkpoint, { settings: [] });
  const [own, student] = [known.recipe, recipe].map(vitConfigOf);
  for (const key of ['imageSize', 'channels', 'classes'] as const) {
    if (own[key] === student[key]) continue;
    throw new InputError(`distill.teacher ${name}: its ${key} is ${own[key]}, the model's ${student[key]}`, {
      hint: 'the teacher looks at the same images as the model: take one that fits',
    });
  }
  const stages = checkpoint.file.stages.map((weights) => ({ weights, source: name }));
  const regimes = known.depths.map(() => 'prefix' as const);
  return assemble(blueprintOf(known.recipe), known.depths, stages, { ...context, dtype: 'F32' }, { regimes });
}
