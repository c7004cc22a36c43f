import { describe, expect, test } from 'vitest';
import { casesOf, differenceFrom, parameterOf, setGradient } from '../../../test/optimizer-support.js';
import { type LambOptions, lamb } from './lamb.js';

const options: Record<string, LambOptions> = {
  lamb: {},
  'lamb betas': { betas: [0.8, 0.95], eps: 1e-3 },
  'lamb clipped': { maxGradNorm: 1 },
  'lamb everywhere': { alwaysAdapt: true },
};

test.each(casesOf('lamb'))("%s: the weights of every step are those of the paper's algorithm", (name) => {
  expect(differenceFrom(name, 'F64', (groups) => lamb(groups, options[name]))).toBeLessThan(1e-14);
  expect(differenceFrom(name, 'F32', (groups) => lamb(groups, options[name]))).toBeLessThan(2e-6);
});

describe('the trust ratio', () => {
  const stepOf = (start: number[], gradient: number[], weightDecay: number) => {
    const parameter = parameterOf(Float64Array.from(start), [start.length]);
    setGradient(parameter, gradient);
    lamb([{ weightDecay, parameters: [['p', parameter]] }]).step(0.1);
    return parameter.toFloat64Array().map((value, i) => value - start[i]);
  };
  const norm = (values: Float64Array) => Math.hypot(...values);

  test("makes a step lr times the parameter's norm long, whatever the gradient's", () => {
    for (const size of [1e-3, 1, 1e3]) {
      expect(norm(stepOf([3, -4], [size, 2 * size], 0.1))).toBeCloseTo(0.5, 12);
    }
  });

  test('is 1 if a norm is 0 or there is no decay', () => {
    expect(norm(stepOf([0, 0], [1, 2], 0.1))).toBeCloseTo(0.1 * Math.SQRT2, 6);
    expect([...stepOf([0, 0], [0, 0], 0.1)]).toEqual([0, 0]);
    expect(norm(stepOf([3, -4], [1, 2], 0))).toBeCloseTo(0.1 * Math.SQRT2, 6);
  });
});

test('the gradients are unchanged, clipped or not', () => {
  const parameter = parameterOf(Float64Array.of(1, 2), [2]);
  setGradient(parameter, [30, 40]);
  lamb([{ weightDecay: 0.1, parameters: [['p', parameter]] }], { maxGradNorm: 1 }).step(0.1);
  expect([...(parameter.grad?.toFloat64Array() ?? [])]).toEqual([30, 40]);
});
