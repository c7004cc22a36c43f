import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { to, transpose } from '../torch/ops.js';
import { scope } from '../torch/scope.js';
import { fromData } from '../torch/tensor.js';
import type { GraphBuilder } from './graph.js';

/** Adds a model's weights to a graph as constants. */
export interface Weights {
  /** The weight with this name and shape. */
  weight(name: string, shape: readonly number[]): string;
  /** A matrix, transposed from [outputs, inputs] to [inputs, outputs], as MatMul expects it. */
  transposed(name: string, shape: readonly number[]): string;
}

/**
 * Functions that add a model's weights to `graph` and check them.
 *
 * @param source origin of the weights, for messages
 */
export function weightsFor(
  graph: GraphBuilder,
  weights: ReadonlyMap<string, TensorData>,
  source: string,
): Weights & { unused(): string[] } {
  const unused = new Set(weights.keys());
  const get = (name: string, shape: readonly number[]): TensorData => {
    const tensor = weights.get(name);
    if (tensor === undefined) throw new InputError(`${source} has no ${name}`, { hint: OTHER_MODEL });
    if (String(tensor.shape) !== String(shape)) {
      const [has, needs] = [tensor.shape, shape].map((each) => `[${each.join(', ')}]`);
      throw new InputError(`${source}: ${name} has shape ${has}, but the model needs ${needs}`, {
        hint: OTHER_MODEL,
      });
    }
    unused.delete(name);
    return tensor;
  };
  return {
    weight: (name, shape) => {
      const tensor = get(name, shape);
      return graph.weight(name, shape, () => float32(tensor, false));
    },
    transposed: (name, shape) => {
      const tensor = get(name, shape);
      return graph.weight(`${name}.T`, [...shape].reverse(), () => float32(tensor, true));
    },
    unused: () => [...unused],
  };
}

const OTHER_MODEL = 'the weights belong to a model of another geometry: check --recipe and --set model...';

function float32(tensor: TensorData, isTransposed: boolean): Uint8Array {
  if (tensor.dtype === 'F32' && !isTransposed) return tensor.data;
  return scope(() => {
    const x = to(fromData(tensor), { dtype: 'F32' });
    return (isTransposed ? transpose(x, 0, 1) : x).toData().data;
  });
}
