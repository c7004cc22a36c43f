import { InputError, RunError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { operator } from '../torch/operator.js';
import { copyInto, zeros } from '../torch/ops.js';
import { keep, scope } from '../torch/scope.js';
import { fromArray, fromData, type Tensor } from '../torch/tensor.js';
import type { Optimizer, ParameterGroup } from './optimizer.js';

export interface AdamWOptions {
  readonly betas?: readonly [number, number];
  readonly eps?: number;
}

const fusedAdamW = operator<undefined>('aten::_fused_adamw_');

/** The state's name for the number of steps taken. */
const STEP = 'step';

interface Slot {
  readonly name: string;
  readonly parameter: Tensor;
  readonly average: Tensor;
  readonly square: Tensor;
}

/**
 * AdamW (Loshchilov and Hutter 2019) by libtorch's fused kernel:
 * p *= 1 - lr*wd; m = b1 m + (1-b1) g; v = b2 v + (1-b2) g^2; p -= lr/(1-b1^t) * m / (sqrt(v)/sqrt(1-b2^t) + eps).
 */
export function adamw(groups: readonly ParameterGroup[], options: AdamWOptions = {}): Optimizer {
  const [beta1, beta2] = options.betas ?? [0.9, 0.999];
  const eps = options.eps ?? 1e-8;
  const slots = groups.map(({ parameters }) => parameters.map(makeSlot));
  const kept = () =>
    slots.flat().flatMap(({ name, average, square }): [name: string, tensor: Tensor][] => [
      [`exp_avg.${name}`, average],
      [`exp_avg_sq.${name}`, square],
    ]);
  let steps = 0;

  return {
    step(lr) {
      steps += 1;
      scope(() => {
        for (const [i, group] of slots.entries()) {
          const gradients = group.map(({ name, parameter }) => gradientOf(name, parameter));
          const step = fromArray(Float32Array.of(steps), [], group[0].parameter.device);
          fusedAdamW(
            group.map((slot) => slot.parameter),
            gradients,
            group.map((slot) => slot.average),
            group.map((slot) => slot.square),
            [],
            group.map(() => step),
            lr,
            beta1,
            beta2,
            groups[i].weightDecay,
            eps,
            false,
            false,
          );
        }
      });
    },

    state() {
      const state = new Map<string, TensorData>(kept().map(([name, tensor]) => [name, tensor.toData()]));
      const step = new Uint8Array(BigInt64Array.of(BigInt(steps)).buffer);
      return state.set(STEP, { dtype: 'I64', shape: [], data: step });
    },

    load(state) {
      checkState(state, kept());
      for (const [name, tensor] of kept()) {
        scope(() => copyInto(tensor, fromData(state.get(name) as TensorData, tensor.device)));
      }
      const { data } = state.get(STEP) as TensorData;
      steps = Number(new DataView(data.buffer, data.byteOffset).getBigInt64(0, true));
    },

    free() {
      for (const [, tensor] of kept()) tensor.free();
    },
  };
}

function makeSlot([name, parameter]: readonly [string, Tensor]): Slot {
  const { shape, dtype, device } = parameter;
  return {
    name,
    parameter,
    average: keep(zeros(shape, dtype, device)),
    square: keep(zeros(shape, dtype, device)),
  };
}

function gradientOf(name: string, parameter: Tensor): Tensor {
  const gradient = parameter.grad;
  if (gradient === null) throw new RunError(`${name} has no gradient: the loss does not depend on it`);
  return gradient;
}

function checkState(
  state: ReadonlyMap<string, TensorData>,
  kept: readonly (readonly [string, Tensor])[],
): void {
  const hint = 'it was saved by another optimizer, or for another model: start the phase anew';
  const places = new Map([...kept.map(([name, { shape }]) => [name, shape] as const), [STEP, []]]);
  for (const [name, needs] of places) {
    const data = state.get(name);
    if (data === undefined) throw new InputError(`the optimizer state lacks ${name}`, { hint });
    if (data.shape.join() !== needs.join()) {
      const [has, wants] = [data.shape, needs].map((shape) => `[${shape.join(', ')}]`);
      throw new InputError(`the optimizer state: ${name} has shape ${has}, the model needs ${wants}`, {
        hint,
      });
    }
  }
  const unused = [...state.keys()].find((name) => !places.has(name));
  if (unused !== undefined)
    throw new InputError(`the optimizer state holds ${unused}, which is not known`, { hint });
  const { dtype } = state.get(STEP) as TensorData;
  if (dtype !== 'I64') throw new InputError(`the optimizer state: ${STEP} is ${dtype}, not I64`, { hint });
}
