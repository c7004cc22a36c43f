import { elementCount } from '../base/tensor-data.js';

/** The buffers of batch norm: they are weights, but training by gradients does not change them. */
const BUFFER = /(^|\.)(running_mean|running_var|num_batches_tracked)$/;

/** Parameters of a model in stages. Buffers are left out. */
export function countParameters(
  stages: readonly ReadonlyMap<string, { readonly shape: readonly number[] }>[],
): number {
  const parameters = stages.flatMap((stage) => [...stage].filter(([name]) => !BUFFER.test(name)));
  return parameters.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0);
}
