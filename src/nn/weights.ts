import { InputError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { noGrad } from '../torch/autograd.js';
import { copyInto } from '../torch/ops.js';
import { scope } from '../torch/scope.js';
import { fromData } from '../torch/tensor.js';
import type { Module } from './module.js';

/**
 * Copies every parameter and buffer of a module to plain bytes, by name.
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * weightsOf(new Linear(4, 2, context)).get('weight')?.shape; // [2, 4]
 */
export function weightsOf(module: Module): Map<string, TensorData> {
  return new Map(Array.from(module.namedWeights(), ([name, weight]) => [name, weight.toData()]));
}

/**
 * Overwrites every parameter and buffer of `module` with the tensor of the same name, converted to the parameter's dtype.
 *
 * @param source origin of the weights, for messages
 * @throws InputError if a tensor is missing, unexpected, or has another shape; the module is unchanged then
 *
 * @example
 * const context = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0, 'init']) } as const;
 * const [from, to] = [new Linear(4, 2, context), new Linear(4, 2, context)];
 * loadWeights(to, weightsOf(from), 'the other layer');
 */
export function loadWeights(module: Module, weights: ReadonlyMap<string, TensorData>, source: string): void {
  const places = new Map(module.namedWeights());
  const missing = [...places.keys()].filter((name) => !weights.has(name));
  if (missing.length > 0) throw new InputError(`${source} has no ${list(missing)}`, { hint: OTHER_MODEL });
  const unused = [...weights.keys()].filter((name) => !places.has(name));
  if (unused.length > 0) {
    throw new InputError(`${source} contains ${list(unused)}, which the model does not have`, {
      hint: OTHER_MODEL,
    });
  }
  for (const [name, place] of places) {
    const { shape } = weights.get(name) as TensorData;
    if (shape.join() !== place.shape.join()) {
      const [has, needs] = [shape, place.shape].map((s) => `[${s.join(', ')}]`);
      throw new InputError(`${source}: ${name} has shape ${has}, but the model needs ${needs}`, {
        hint: OTHER_MODEL,
      });
    }
  }
  noGrad(() => {
    for (const [name, place] of places) {
      scope(() => copyInto(place, fromData(weights.get(name) as TensorData, place.device)));
    }
  });
}

const OTHER_MODEL =
  'the weights belong to a model of another geometry: compare it with `npx deep-incubation inspect`';

function list(names: readonly string[]): string {
  const shown = names.slice(0, 3).join(', ');
  return names.length > 3 ? `${shown} and ${names.length - 3} more` : shown;
}
