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
      const state = new Map<string, TensorData>();
      for (const { name, average, square } of slots.flat()) {
        state.set(`exp_avg.${name}`, average.toData());
        state.set(`exp_avg_sq.${name}`, square.toData());
      }
      return state.set('step', {
        dtype: 'I64',
        shape: [],
        data: new Uint8Array(BigInt64Array.of(BigInt(steps)).buffer),
      });
    },

    load(state) {
      scope(() => {
        for (const { name, average, square } of slots.flat()) {
          copyInto(average, saved(state, `exp_avg.${name}`, average));
          copyInto(square, saved(state, `exp_avg_sq.${name}`, square));
        }
      });
      const step = state.get('step');
      if (step === undefined) throw new InputError('the optimizer state has no `step`');
      steps = Number(new DataView(step.data.buffer, step.data.byteOffset).getBigInt64(0, true));
    },

    free() {
      for (const { average, square } of slots.flat()) {
        average.free();
        square.free();
      }
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

function saved(state: ReadonlyMap<string, TensorData>, name: string, like: Tensor): Tensor {
  const data = state.get(name);
  if (data === undefined) throw new InputError(`the optimizer state has no ${name}`);
  if (data.shape.join() !== like.shape.join()) {
    throw new InputError(
      `${name} has shape [${data.shape.join(', ')}], the model needs [${like.shape.join(', ')}]`,
    );
  }
  return fromData(data, like.device);
}
