import { describe, expect, test } from 'vitest';
import { wave } from '../../test/finite-differences.js';
import { InputError, RunError } from '../base/errors.js';
import { backward, clearGrads } from '../torch/autograd.js';
import { mul, sum } from '../torch/ops.js';
import { liveHandles, scope } from '../torch/scope.js';
import { fromArray, type Tensor } from '../torch/tensor.js';
import { adamw } from './adamw.js';

const SIZE = 6;
const start = wave(SIZE, 1);
const gradientAt = (step: number) => wave(SIZE, 10 + step);

function parameterOf(values: Float64Array | Float32Array): Tensor {
  const tensor = fromArray(values, [2, 3]);
  tensor.requiresGrad = true;
  return tensor;
}

function setGradient(parameter: Tensor, gradient: Float64Array): void {
  const values = parameter.dtype === 'F64' ? gradient : Float32Array.from(gradient);
  clearGrads([parameter]);
  scope(() => backward(sum(mul(parameter, fromArray(values, [2, 3])))));
}

test('five steps are those of the formula, in float64', () => {
  const [lr, decay, beta1, beta2, eps] = [0.01, 0.1, 0.8, 0.9, 1e-3];
  const parameter = parameterOf(start);
  const bias = parameterOf(start);
  const optimizer = adamw(
    [
      { weightDecay: decay, parameters: [['p', parameter]] },
      { weightDecay: 0, parameters: [['b', bias]] },
    ],
    { betas: [beta1, beta2], eps },
  );
  const expected = [decay, 0].map((wd) => ({
    wd,
    p: [...start],
    m: start.map(() => 0),
    v: start.map(() => 0),
  }));
  for (let t = 1; t <= 5; t++) {
    for (const tensor of [parameter, bias]) setGradient(tensor, gradientAt(t));
    optimizer.step(lr * t);
    for (const { wd, p, m, v } of expected) {
      for (const [i, g] of gradientAt(t).entries()) {
        p[i] *= 1 - lr * t * wd;
        m[i] = beta1 * m[i] + (1 - beta1) * g;
        v[i] = beta2 * v[i] + (1 - beta2) * g * g;
        p[i] -= ((lr * t) / (1 - beta1 ** t)) * (m[i] / (Math.sqrt(v[i]) / Math.sqrt(1 - beta2 ** t) + eps));
      }
    }
  }
  for (const [i, tensor] of [parameter, bias].entries()) {
    for (const [j, value] of tensor.toFloat64Array().entries()) {
      expect(Math.abs(value - expected[i].p[j])).toBeLessThan(1e-14);
    }
  }
});

test('the defaults are betas 0.9, 0.999 and eps 1e-8', () => {
  const parameter = parameterOf(start);
  setGradient(parameter, gradientAt(0));
  adamw([{ weightDecay: 0, parameters: [['p', parameter]] }]).step(0.1);
  for (const [i, g] of gradientAt(0).entries()) {
    expect(parameter.toFloat64Array()[i]).toBeCloseTo(start[i] - (0.1 * g) / (Math.abs(g) + 1e-8), 12);
  }
});

function optimizerOf(parameter: Tensor) {
  return adamw([{ weightDecay: 0.1, parameters: [['p', parameter]] }]);
}

describe('state', () => {
  test('saved and loaded, it goes on bit by bit', () => {
    const steps = (parameter: Tensor, optimizer: ReturnType<typeof adamw>, from: number, to: number) => {
      for (let t = from; t < to; t++) {
        setGradient(parameter, gradientAt(t));
        optimizer.step(0.01);
      }
    };
    const straight = parameterOf(Float32Array.from(start));
    const straightOptimizer = optimizerOf(straight);
    steps(straight, straightOptimizer, 0, 7);

    const first = parameterOf(Float32Array.from(start));
    const firstOptimizer = optimizerOf(first);
    steps(first, firstOptimizer, 0, 3);
    const saved = firstOptimizer.state();
    expect([...saved.keys()].sort()).toEqual(['exp_avg.p', 'exp_avg_sq.p', 'step']);
    // A step more: what was saved is a copy.
    steps(first, firstOptimizer, 3, 4);

    const second = parameterOf(Float32Array.from(start));
    steps(second, optimizerOf(second), 0, 3);
    const secondOptimizer = optimizerOf(second);
    secondOptimizer.load(saved);
    expect(secondOptimizer.state()).toEqual(saved);
    steps(second, secondOptimizer, 3, 7);
    expect(second.toData()).toEqual(straight.toData());
    expect(secondOptimizer.state()).toEqual(straightOptimizer.state());
  });

  test('that does not fit is refused by name, and nothing changes', () => {
    const parameter = parameterOf(start);
    const optimizer = optimizerOf(parameter);
    const state = optimizer.state();
    setGradient(parameter, gradientAt(0));
    optimizer.step(0.1);
    const before = optimizer.state();
    expect(before).not.toEqual(state);
    const data = new Uint8Array(8);
    const without = (name: string) => new Map([...state].filter(([key]) => key !== name));
    const cases: [Parameters<typeof optimizer.load>[0], string][] = [
      [without('exp_avg.p'), 'the optimizer state lacks exp_avg.p'],
      [without('step'), 'the optimizer state lacks step'],
      [
        new Map([...state, ['exp_avg_sq.p', { dtype: 'F64', shape: [1], data }]]),
        'the optimizer state: exp_avg_sq.p has shape [1], the model needs [2, 3]',
      ],
      [
        new Map([...state, ['exp_avg.q', { dtype: 'F64', shape: [1], data }]]),
        'the optimizer state holds exp_avg.q, which is not known',
      ],
      [
        new Map([...state, ['step', { dtype: 'F64', shape: [], data }]]),
        'the optimizer state: step is F64, not I64',
      ],
    ];
    for (const [wrong, message] of cases) {
      expect(() => optimizer.load(wrong)).toThrow(InputError);
      expect(() => optimizer.load(wrong)).toThrow(message);
      expect(optimizer.state()).toEqual(before);
    }
  });

  test('is freed by free(), and steps leave nothing behind', () => {
    const parameter = parameterOf(start);
    setGradient(parameter, gradientAt(0));
    const before = liveHandles();
    const optimizer = optimizerOf(parameter);
    expect(liveHandles()).toBe(before + 2);
    for (let i = 0; i < 3; i++) optimizer.step(0.1);
    optimizer.state();
    optimizer.load(optimizer.state());
    expect(liveHandles()).toBe(before + 2);
    optimizer.free();
    expect(liveHandles()).toBe(before);
  });
});

test('a parameter without a gradient is an error that names it', () => {
  const optimizer = optimizerOf(parameterOf(start));
  expect(() => optimizer.step(0.1)).toThrow(RunError);
  expect(() => optimizer.step(0.1)).toThrow('p has no gradient');
});
