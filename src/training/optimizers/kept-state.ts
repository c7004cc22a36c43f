import { InputError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import { copyInto } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromData, type Tensor } from '../../torch/tensor.js';

/** Training state other than the weights, by its names in a checkpoint. */
interface Kept {
  /** For messages, e.g. `optimizer state`. */
  readonly title: string;
  readonly tensors: readonly (readonly [name: string, tensor: Tensor])[];
  /** The name under which the number of steps is stored. */
  readonly steps: string;
}

/** Copies of the tensors, and the number of steps as a scalar I64. */
export function saveState({ tensors, steps: name }: Kept, steps: number): Map<string, TensorData> {
  const state = new Map<string, TensorData>(tensors.map(([key, tensor]) => [key, tensor.toData()]));
  const data = new Uint8Array(BigInt64Array.of(BigInt(steps)).buffer);
  return state.set(name, { dtype: 'I64', shape: [], data });
}

/**
 * Overwrites the tensors.
 * @returns the number of steps
 * @throws InputError naming a tensor that is missing, left over or has the wrong shape; nothing is changed then
 */
export function loadState(kept: Kept, state: ReadonlyMap<string, TensorData>): number {
  check(kept, state);
  for (const [name, tensor] of kept.tensors) {
    scope(() => copyInto(tensor, fromData(state.get(name) as TensorData, tensor.device)));
  }
  const { data } = state.get(kept.steps) as TensorData;
  return Number(new DataView(data.buffer, data.byteOffset).getBigInt64(0, true));
}

function check({ title, tensors, steps }: Kept, state: ReadonlyMap<string, TensorData>): void {
  const hint = 'it was saved with other settings, or for another model: start the phase again';
  const places = new Map([...tensors.map(([name, { shape }]) => [name, shape] as const), [steps, []]]);
  for (const [name, needs] of places) {
    const data = state.get(name);
    if (data === undefined) throw new InputError(`the ${title} has no ${name}`, { hint });
    if (data.shape.join() !== needs.join()) {
      const [has, wants] = [data.shape, needs].map((shape) => `[${shape.join(', ')}]`);
      throw new InputError(`the ${title}: ${name} has shape ${has}, but the model needs ${wants}`, { hint });
    }
  }
  const unused = [...state.keys()].find((name) => !places.has(name));
  if (unused !== undefined)
    throw new InputError(`the ${title} contains the unknown tensor ${unused}`, { hint });
  const { dtype } = state.get(steps) as TensorData;
  if (dtype !== 'I64') throw new InputError(`the ${title}: ${steps} is ${dtype}, not I64`, { hint });
}
