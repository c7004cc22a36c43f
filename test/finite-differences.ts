import { backward } from '../src/torch/autograd.js';
import { mul, sum } from '../src/torch/ops.js';
import { scope } from '../src/torch/scope.js';
import { fromArray, type Tensor } from '../src/torch/tensor.js';

export interface Input {
  readonly shape: readonly number[];
  readonly values: Float64Array;
}

/** Reproducible numbers in -1 ... 1, without structure. */
export function wave(count: number, phase = 0): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * phase));
}

export function input(shape: readonly number[], phase: number): Input {
  return {
    shape,
    values: wave(
      shape.reduce((a, b) => a * b, 1),
      phase,
    ),
  };
}

/**
 * The largest difference between the gradients that autograd and central differences give of a weighted sum of
 * `f`'s elements, in float64. With step 1e-5 and inputs of order 1, right ones agree to about 1e-9.
 */
export function gradientError(inputs: readonly Input[], f: (...tensors: Tensor[]) => Tensor): number {
  return scope(() => {
    const tensors = inputs.map(({ values, shape }) => fromArray(values, shape));
    for (const tensor of tensors) tensor.requiresGrad = true;
    backward(weightedSum(f(...tensors)));

    let worst = 0;
    for (const [i, { values, shape }] of inputs.entries()) {
      const gradient = (tensors[i].grad as Tensor).toFloat64Array();
      for (const [at, analytic] of gradient.entries()) {
        const valueAt = (moved: number) =>
          scope(() => {
            const changed = Float64Array.from(values);
            changed[at] += moved;
            const others = tensors.map((tensor, j) => (j === i ? fromArray(changed, shape) : tensor));
            return weightedSum(f(...others)).item();
          });
        const numeric = (valueAt(STEP) - valueAt(-STEP)) / (2 * STEP);
        worst = Math.max(worst, Math.abs(numeric - analytic));
      }
    }
    return worst;
  });
}

const STEP = 1e-5;

function weightedSum(x: Tensor): Tensor {
  return sum(
    mul(
      x,
      fromArray(
        wave(
          x.shape.reduce((a, b) => a * b, 1),
          99,
        ),
        x.shape,
      ),
    ),
  );
}
