import { elementCount } from '../base/tensor-data.js';

/** Buffers of batch norm. They are weights, but have no gradients. */
const BUFFER = /(^|\.)(running_mean|running_var|num_batches_tracked)$/;

/** Number of parameters of a model in stages, without buffers. */
export function countParameters(
  stages: readonly ReadonlyMap<string, { readonly shape: readonly number[] }>[],
): number {
  const parameters = stages.flatMap((stage) => [...stage].filter(([name]) => !BUFFER.test(name)));
  return parameters.reduce((sum, [, { shape }]) => sum + elementCount(shape), 0);
}
