import { describe, expect, test } from 'vitest';
import { wave } from '../../test/finite-differences.js';
import { parameterOf, setGradient } from '../../test/optimizer-support.js';
import { numbers } from '../../test/support.js';
import { DEVICE } from '../../test/test-device.js';
import { InputError, RunError } from '../base/errors.js';
import type { TensorData } from '../base/tensor-data.js';
import { copyInto } from '../torch/ops.js';
import { liveHandles, scope } from '../torch/scope.js';
import { fromArray, type Tensor } from '../torch/tensor.js';
import { type EmaOptions, ema } from './ema.js';
import { sgd } from './optimizers/sgd.js';

/** Two parameters, and a step that changes them. */
function model(dtype: 'F32' | 'F64' = 'F64') {
  const make = (count: number) =>
    parameterOf(dtype === 'F64' ? wave(count, 1) : Float32Array.from(wave(count, 1)), [count]);
  const parameters: [string, Tensor][] = [
    ['a.weight', make(3)],
    ['a.bias', make(1)],
  ];
  const optimizer = sgd([{ weightDecay: 0, parameters }], { momentum: 0 });
  const step = (t: number) => {
    for (const [, parameter] of parameters) setGradient(parameter, wave(parameter.shape[0], 7 + t));
    optimizer.step(0.1);
  };
  const values = () => parameters.flatMap(([, parameter]) => numbers(parameter.toData()));
  return { parameters, step, values };
}

const averagesIn = (state: Map<string, TensorData>) =>
  ['ema.a.weight', 'ema.a.bias'].flatMap((name) => numbers(state.get(name) as TensorData));

function expectClose(actual: number[], expected: number[]) {
  expect(actual).toHaveLength(expected.length);
  for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i])).toBeLessThan(1e-14);
}

/** The weighted sum of all weights so far, written out: the k-th of n weighs (1 - d_k) d_(k+1) ... d_n, the first with d_0 = 0. */
function weightedSum(history: number[][], decays: number[]): number[] {
  return history[0].map((_, i) =>
    history.reduce((total, weights, k) => {
      const own = k === 0 ? 1 : 1 - decays[k - 1];
      return total + own * decays.slice(k).reduce((a, b) => a * b, 1) * weights[i];
    }, 0),
  );
}

describe.each<[string, EmaOptions, (t: number) => number]>([
  ['a fixed decay', { decay: 0.9 }, () => 0.9],
  ['warm-up', { decay: 0.7, warmup: true }, (t) => [0, 0.370039475, 0.519250143, 0.603149737][t] ?? 0.7],
])('%s', (_, options, decayAt) => {
  test('the averages are the weighted sums of all weights so far', () => {
    const { parameters, step, values } = model();
    const average = ema(parameters, options);
    expect(averagesIn(average.state())).toEqual(values());
    const history = [values()];
    const decays: number[] = [];
    for (let t = 0; t < 4; t++) {
      step(t);
      average.update();
      history.push(values());
      decays.push(decayAt(t));
      for (const [i, value] of averagesIn(average.state()).entries()) {
        expect(value).toBeCloseTo(weightedSum(history, decays)[i], 8);
      }
    }
  });
});

test('warm-up ends at the decay given', () => {
  const { parameters, step, values } = model();
  const average = ema(parameters, { decay: 0.3, warmup: true });
  average.update();
  average.update();
  const before = averagesIn(average.state());
  step(0);
  average.update();
  expectClose(
    averagesIn(average.state()),
    values().map((value, i) => 0.3 * before[i] + 0.7 * value),
  );
});

describe('swapped', () => {
  const trained = (dtype: 'F32' | 'F64' = 'F32') => {
    const { parameters, step, values } = model(dtype);
    const average = ema(parameters, { decay: 0.9 });
    for (let t = 0; t < 3; t++) {
      step(t);
      average.update();
    }
    return { average, parameters, step, values, raw: values(), averages: averagesIn(average.state()) };
  };

  test('the averages are in the model during the work; then the weights are restored bit-identically', () => {
    const { average, values, raw, averages } = trained();
    expect(averages).not.toEqual(raw);
    expect(average.swapped(() => values())).toEqual(averages);
    expect(values()).toEqual(raw);
    expect(averagesIn(average.state())).toEqual(averages);
  });

  test('until asynchronous work has ended', async () => {
    const { average, values, raw, averages } = trained();
    const seen = await average.swapped(async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      return values();
    });
    expect(seen).toEqual(averages);
    expect(values()).toEqual(raw);
  });

  test('failed work, at once or later, restores the weights', async () => {
    const { average, values, raw, averages } = trained();
    const fail = () => {
      throw new Error('failed work');
    };
    expect(() => average.swapped(fail)).toThrow('failed work');
    expect(values()).toEqual(raw);
    await expect(average.swapped(async () => fail())).rejects.toThrow('failed work');
    await expect(average.swapped(() => Promise.resolve().then(fail))).rejects.toThrow('failed work');
    expect(values()).toEqual(raw);
    expect(average.swapped(values)).toEqual(averages);
  });

  test('training continues unchanged', () => {
    const [watched, alone] = [trained(), trained()];
    for (let t = 3; t < 6; t++) {
      watched.average.swapped(() => undefined);
      for (const { step, average } of [watched, alone]) {
        step(t);
        average.update();
      }
    }
    expect(watched.values()).toEqual(alone.values());
    expect(watched.average.state()).toEqual(alone.average.state());
  });

  test('the averages cannot be used meanwhile', async () => {
    const { average, values, raw } = trained();
    const state = average.state();
    const uses = [
      () => average.update(),
      () => average.state(),
      () => average.load(state),
      () => average.swapped(() => undefined),
    ];
    for (const use of uses) expect(() => average.swapped(use)).toThrow(RunError);
    await average.swapped(async () => {
      await Promise.resolve();
      for (const use of uses) expect(use).toThrow('while the model is using them');
    });
    expect(values()).toEqual(raw);
    expect(average.state()).toEqual(state);
  });

  test('the parameters still take gradients', () => {
    const { average, parameters } = trained();
    average.swapped(() => undefined);
    for (const [, parameter] of parameters) expect(parameter.requiresGrad).toBe(true);
  });
});

describe('state', () => {
  test('saved and loaded, it continues bit-identically, also in warm-up', () => {
    const options = { decay: 0.9, warmup: true };
    const { parameters, step } = model('F32');
    const straight = ema(parameters, options);
    for (let t = 0; t < 2; t++) {
      step(t);
      straight.update();
    }
    const saved = straight.state();
    expect([...saved.keys()]).toEqual(['ema.a.weight', 'ema.a.bias', 'ema_updates']);
    const resumed = ema(parameters, options);
    resumed.load(saved);
    expect(resumed.state()).toEqual(saved);
    step(2);
    for (const average of [straight, resumed]) average.update();
    expect(resumed.state()).toEqual(straight.state());
    expect(straight.state()).not.toEqual(saved);
  });

  test('of another model is refused by name, and nothing changes', () => {
    const { parameters } = model();
    const average = ema(parameters, { decay: 0.9 });
    const before = average.state();
    const without = new Map([...before].filter(([name]) => name !== 'ema.a.bias'));
    expect(() => average.load(without)).toThrow(InputError);
    expect(() => average.load(without)).toThrow('the state of the averaged weights has no ema.a.bias');
    expect(average.state()).toEqual(before);
  });

  test('is freed by free(); other operations leave no tensors behind', async () => {
    const { parameters } = model();
    const before = liveHandles();
    // In a scope: the averages outlive it.
    const average = scope(() => {
      const made = ema(parameters, { decay: 0.9 });
      scope(() => fromArray(Float32Array.of(1), [1], DEVICE));
      return made;
    });
    expect(liveHandles()).toBe(before + 2);
    average.update();
    average.swapped(() => undefined);
    await average.swapped(async () => undefined);
    average.load(average.state());
    expect(liveHandles()).toBe(before + 2);
    average.free();
    expect(liveHandles()).toBe(before);
  });
});

test.each([-0.1, 1.1, Number.NaN])('a decay of %d is refused', (decay) => {
  const call = () => ema([['a', fromArray(Float32Array.of(1), [1], DEVICE)]], { decay });
  expect(call).toThrow(InputError);
  expect(call).toThrow(`decay is ${decay}`);
});

test('a floating buffer is averaged, a count copied, as in timm', () => {
  const [mean, count] = [
    fromArray(Float32Array.of(1), [1], DEVICE),
    fromArray(BigInt64Array.of(1n), [], DEVICE),
  ];
  const averages = ema(
    [
      ['running_mean', mean],
      ['num_batches_tracked', count],
    ],
    { decay: 0.75 },
  );
  copyInto(mean, fromArray(Float32Array.of(3), [1], DEVICE));
  copyInto(count, fromArray(BigInt64Array.of(9n), [], DEVICE));
  averages.update();
  const numbers = () => [mean.item(), count.item()];
  expect(averages.swapped(numbers)).toEqual([1.5, 9]);
  expect(numbers()).toEqual([3, 9]);
  averages.free();
});
