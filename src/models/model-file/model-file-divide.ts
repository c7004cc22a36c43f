import type { Stage } from '../../weights/layout/model-file-stages.js';
import { divideBy, joinBy } from '../divide-stages.js';
import { familyOfStages } from '../families/families.js';
import type { ModelFamily } from '../family.js';

/**
 * Divides a model into stages of other depths, without changing its tensors: the stem is in the first stage, the head in the
 * last, and blocks are numbered from 0 in each. With one depth, the model is undivided.
 * @param family default: recognised by the names of the tensors
 * @throws InputError naming `source` if the depths do not add up to the model's blocks, or a tensor belongs to no stage
 *
 * @example
 * const { stages } = await readModelFile('model.safetensors');
 * const whole = divideStages(stages, [4]);
 * whole.length; // 1
 */
export function divideStages<T>(
  stages: readonly Stage<T>[],
  depths: readonly number[],
  source = 'the model',
  family: Pick<ModelFamily, 'endOf'> = familyOfStages(stages),
): Stage<T>[] {
  return divideBy(family.endOf, stages, depths, source);
}

/** Joins the stages to an undivided model. */
export function joinStages<T>(
  stages: readonly Stage<T>[],
  source = 'the model',
  family: Pick<ModelFamily, 'endOf'> = familyOfStages(stages),
): Stage<T> {
  return joinBy(family.endOf, stages, source);
}
