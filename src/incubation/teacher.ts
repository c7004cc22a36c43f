import { InputError } from '../base/errors.js';
import type { StagedModel } from '../models/staged.js';
import type { InitContext } from '../nn/init.js';
import { assemble } from './assemble.js';
import { type CheckpointFileOptions, readCheckpointFile } from './checkpoint-file.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';
import { blueprintOf, vitConfigOf } from './recipe/recipe-model.js';
import type { Recipe } from './recipe/recipe-schema.js';

const NAMES = { imageSize: 'pixels a side', channels: 'channels', classes: 'classes' };

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
  const { checkpoint, known } = await requireTeacher(name, recipe);
  const stages = checkpoint.file.stages.map((weights) => ({ weights, source: name }));
  const regimes = known.depths.map(() => 'prefix' as const);
  return assemble(blueprintOf(known.recipe), known.depths, stages, { ...context, dtype: 'F32' }, { regimes });
}

/**
 * A teacher's weights and what model they are.
 * @throws InputError as `teacherOf`
 */
export async function requireTeacher(name: string, recipe: Recipe, options: CheckpointFileOptions = {}) {
  const checkpoint = await readCheckpointFile(name, options);
  const known = modelOfCheckpoint(checkpoint, { settings: [] });
  const [own, student] = [known.recipe, recipe].map(vitConfigOf);
  for (const key of ['imageSize', 'channels', 'classes'] as const) {
    if (own[key] === student[key]) continue;
    throw new InputError(`distill.teacher ${name} has ${own[key]} ${NAMES[key]}, the model ${student[key]}`, {
      hint: 'the teacher looks at the same images as the model: take one that fits',
    });
  }
  return { checkpoint, known };
}
