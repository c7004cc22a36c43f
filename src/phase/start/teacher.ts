import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../../base/errors.js';
import { assemble } from '../../method/assemble.js';
import type { StagedModel } from '../../models/staged.js';
import type { InitContext } from '../../nn/init.js';
import { blueprintOf, modelConfigOf } from '../../recipe/recipe-model.js';
import type { Recipe, TrainingSettings } from '../../recipe/recipe-schema.js';
import type { Teacher } from '../../tasks/distillation.js';
import { add, mul } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray } from '../../torch/tensor.js';
import { type CheckpointFileOptions, readCheckpointFile } from './checkpoint-file.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';
import { statedFacts } from './stated-facts.js';

const NAMES = { imageSize: 'pixels a side', channels: 'channels', classes: 'classes' };

type Distill = Pick<NonNullable<TrainingSettings['distill']>, 'teacher' | 'weights' | 'normalise'>;

/**
 * A trained model that teaches another, frozen. It looks at the images of the recipe's model, normalised with the mean
 * and deviation that it states itself.
 * @throws InputError where its weights do not tell what it is, or it takes other images than the recipe's model
 */
export async function teacherOf(
  distill: Distill,
  recipe: Recipe,
  context: Omit<InitContext, 'dtype'>,
): Promise<Teacher> {
  const { checkpoint, known } = await requireTeacher(distill, recipe);
  const source = distill.teacher;
  const stages = checkpoint.file.stages.map((weights) => ({ weights, source }));
  const regimes = known.depths.map(() => 'prefix' as const);
  const { device, generator } = context;
  const model = assemble(
    blueprintOf(known.recipe),
    known.depths,
    stages,
    { device, generator, dtype: 'F32' },
    { regimes },
  );
  const isOwn = distill.normalise === 'own' && statedFacts(checkpoint).mean !== undefined;
  return isOwn ? renormalising(model, recipe.data, known.recipe.data, device) : model;
}

/**
 * A teacher's weights and what model they are.
 * @throws InputError as `teacherOf`
 */
export async function requireTeacher(distill: Distill, recipe: Recipe, options: CheckpointFileOptions = {}) {
  const { teacher: name, weights, normalise } = distill;
  const checkpoint = await readCheckpointFile(name, { ...options, weights });
  const { recipe: own, depths, assumptions } = modelOfCheckpoint(checkpoint, { settings: [] });
  const [teaching, taught] = [own, recipe].map(modelConfigOf);
  for (const key of ['imageSize', 'channels', 'classes'] as const) {
    if (teaching[key] === taught[key]) continue;
    throw new InputError(
      `distill.teacher ${name} has ${teaching[key]} ${NAMES[key]}, the model ${taught[key]}`,
      {
        hint: 'the teacher looks at the same images as the model: take one that fits',
      },
    );
  }
  // Its images are those of the model: crop and resize do not count.
  const ofModel = assumptions.filter((text) => !/^(mean|standard deviation|bicubic)/.test(text));
  const { mean } = statedFacts(checkpoint);
  if (mean === undefined && normalise === 'own') ofModel.push("the model's mean and standard deviation");
  return { checkpoint, known: { recipe: own, depths, assumptions: ofModel } };
}

type Normalisation = { readonly mean: readonly number[]; readonly std: readonly number[] };

/** A model of images that are normalised in one way, for images that are normalised in another. */
function renormalising(model: StagedModel, from: Normalisation, to: Normalisation, device: string): Teacher {
  if (isDeepStrictEqual([from.mean, from.std], [to.mean, to.std])) return model;
  const perChannel = (of: (channel: number) => number) =>
    fromArray(
      Float32Array.from(from.mean, (_, channel) => of(channel)),
      [1, from.mean.length, 1, 1],
      device,
    );
  return {
    forward: (images, pass) =>
      scope(() => {
        const scale = perChannel((c) => from.std[c] / to.std[c]);
        const shift = perChannel((c) => (from.mean[c] - to.mean[c]) / to.std[c]);
        return model.forward(add(mul(images, scale), shift), pass);
      }),
  };
}
