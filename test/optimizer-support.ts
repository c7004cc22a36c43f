import { readFileSync } from 'node:fs';
import { backward, clearGrads } from '../src/torch/autograd.js';
import { mul, sum } from '../src/torch/ops.js';
import { scope } from '../src/torch/scope.js';
import { fromArray, type Tensor } from '../src/torch/tensor.js';
import type { Optimizer, ParameterGroup } from '../src/training/optimizers/optimizer.js';
import { maxDifference, numbers } from './support.js';
import { DEVICE } from './test-device.js';

type Numbers = Record<string, number[]>;

/** What test/fixtures/make-optimizers.py writes. */
interface Fixture {
  readonly shapes: Record<string, number[]>;
  readonly groups: { names: string[]; weight_decay: number; lr_scale: number }[];
  readonly lrs: number[];
  readonly start: Numbers;
  /** Of each step. */
  readonly gradients: Numbers[];
  /** Of each case, after each step. */
  readonly weights: Record<string, Numbers[]>;
}

const fixture = JSON.parse(
  readFileSync(new URL('fixtures/optimizers.json', import.meta.url), 'utf8'),
) as Fixture;

/** Names of the fixture's cases that begin with `rule`. */
export function casesOf(rule: string): string[] {
  return Object.keys(fixture.weights).filter((name) => name.split(' ')[0] === rule);
}

export function parameterOf(values: Float64Array | Float32Array, shape: readonly number[]): Tensor {
  const tensor = fromArray(values, shape, DEVICE);
  tensor.requiresGrad = true;
  return tensor;
}

/** Makes `gradient` the parameter's accumulated gradient. */
export function setGradient(parameter: Tensor, gradient: ArrayLike<number>): void {
  const values = arrayOf(parameter.dtype, gradient);
  clearGrads([parameter]);
  scope(() => backward(sum(mul(parameter, fromArray(values, parameter.shape, DEVICE)))));
}

/** The largest difference of any weight after any step between a case of the fixture and `make`'s optimiser. */
export function differenceFrom(
  name: string,
  dtype: 'F32' | 'F64',
  make: (groups: ParameterGroup[]) => Optimizer,
): number {
  const parameters = new Map(
    Object.entries(fixture.shapes).map(([key, shape]) => [
      key,
      parameterOf(arrayOf(dtype, fixture.start[key]), shape),
    ]),
  );
  const optimizer = make(
    fixture.groups.map(({ names, weight_decay: weightDecay, lr_scale: lrScale }) => ({
      weightDecay,
      lrScale,
      parameters: names.map((key) => [key, parameters.get(key) as Tensor] as const),
    })),
  );
  let worst = 0;
  for (const [step, lr] of fixture.lrs.entries()) {
    for (const [key, parameter] of parameters) setGradient(parameter, fixture.gradients[step][key]);
    optimizer.step(lr);
    for (const [key, parameter] of parameters) {
      const expected = fixture.weights[name][step][key];
      worst = Math.max(worst, maxDifference(numbers(parameter.toData()), expected));
    }
  }
  optimizer.free();
  return worst;
}

function arrayOf(dtype: string, values: ArrayLike<number>): Float32Array | Float64Array {
  return dtype === 'F64' ? Float64Array.from(values) : Float32Array.from(values);
}
