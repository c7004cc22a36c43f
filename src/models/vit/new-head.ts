import type { TensorData } from '../../base/tensor-data.js';
import type { Headless } from '../family.js';
import type { VitConfig } from './vit.js';

const HEAD = /^head(s|_dist)?\./;

/**
 * Weights for a model with a new head. An existing head is left out. If the weights have their final norm on the other side of
 * the pooling than the model, that norm is left out, too, and the model's norm is initialised.
 */
export function newHead(
  { fcNorm }: Pick<VitConfig, 'fcNorm'>,
  stages: readonly ReadonlyMap<string, TensorData>[],
): Headless {
  const [norm, other] = fcNorm ? ['fc_norm.', 'norm.'] : ['norm.', 'fc_norm.'];
  const names = stages.flatMap((stage) => [...stage.keys()]);
  const isNormNew = !names.includes(`${norm}weight`) && names.includes(`${other}weight`);
  const isLeftOut = (name: string) => HEAD.test(name) || name.startsWith(other);
  return {
    stages: stages.map((stage) => new Map([...stage].filter(([name]) => !isLeftOut(name)))),
    isFresh: (name) => HEAD.test(name) || (isNormNew && name.startsWith(norm)),
    leftOut: names.filter(isLeftOut),
  };
}
