import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../../base/errors.js';
import { assemble } from '../../method/assemble.js';
import type { StagedModel } from '../../models/staged.js';
import type { InitContext } from '../../nn/init.js';
import type { Phase } from '../../recipe/phase.js';
import { blueprintOf, modelConfigOf } from '../../recipe/recipe-model.js';
import type { Teacher } from '../../tasks/distillation.js';
import { add, mul } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray } from '../../torch/tensor.js';
import { type CheckpointFileOptions, readCheckpointFile } from './checkpoint-file.js';
import { modelOfCheckpoint } from './model-of-checkpoint.js';
import { statedFacts } from './stated-facts.js';

const NAMES = { imageSize: 'pixels a side', channels: 'channels', classes: 'classes' };

type Distill = Pick<NonNullable<Phase['settings']['distill']>, 'teacher' | 'weights' | 'normalise'>;

/** The model that is taught: its geometry and its images. */
type Taught = Pick<Phase, 'config' | 'data'>;

/**
 * A trained, frozen model that teaches another model. It sees the same images. With `normalise: own` they are
 * normalised with the mean and standard deviation that the teacher states, if it states them.
 * @throws InputError if its weights do not determine the model, or it needs different images than the model
 */
export async function teacherOf(
  distill: Distill,
  phase: Taught,
  context: Omit<InitContext, 'dtype'>,
): Promise<Teacher> {
  const { checkpoint, known } = await requireTeacher(distill, phase);
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
  return isOwn ? renormalising(model, phase.data, known.recipe.data, device) : model;
}

/**
 * A teacher's weights and their model.
 * @throws InputError as in `teacherOf`
 */
export async function requireTeacher(
  distill: Distill,
  { config: taught }: Taught,
  options: CheckpointFileOptions = {},
) {
  const { teacher: name, weights, normalise } = distill;
  const checkpoint = await readCheckpointFile(name, { ...options, weights });
  const { recipe: own, depths, assumptions } = modelOfCheckpoint(checkpoint, { settings: [] });
  const teaching = modelConfigOf(own);
  for (const key of ['imageSize', 'channels', 'classes'] as const) {
    if (teaching[key] === taught[key]) continue;
    throw new InputError(
      `distill.teacher ${name} has ${teaching[key]} ${NAMES[key]}, the model ${taught[key]}`,
      {
        hint: 'the teacher looks at the same images as the model: take one that fits',
      },
    );
  }
  // The teacher sees the images of the model, so assumptions about its preprocessing do not matter.
  const ofModel = assumptions.filter((text) => !/^(mean|standard deviation|bicubic)/.test(text));
  const { mean } = statedFacts(checkpoint);
  if (mean === undefined && normalise === 'own') ofModel.push("the model's mean and standard deviation");
  return { checkpoint, known: { recipe: own, depths, assumptions: ofModel } };
}

type Normalisation = { readonly mean: readonly number[]; readonly std: readonly number[] };

/** Adapts a model that was trained on images with normalisation `to` to images with normalisation `from`. */
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
