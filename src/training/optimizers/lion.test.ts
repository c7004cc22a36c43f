import { expect, test } from 'vitest';
import { casesOf, differenceFrom, parameterOf, setGradient } from '../../../test/optimizer-support.js';
import { type LionOptions, lion } from './lion.js';

const options: Record<string, LionOptions> = { lion: {}, 'lion betas': { betas: [0.95, 0.98] } };

test.each(casesOf('lion'))("%s: the weights of every step are those of the paper's algorithm", (name) => {
  expect(differenceFrom(name, 'F64', (groups) => lion(groups, options[name]))).toBeLessThan(1e-14);
  expect(differenceFrom(name, 'F32', (groups) => lion(groups, options[name]))).toBeLessThan(1e-6);
});

test('every element moves by the learning rate, or not at all if its gradient was always 0', () => {
  const parameter = parameterOf(Float64Array.of(1, 2, 3), [3]);
  setGradient(parameter, [1e-9, -1e9, 0]);
  lion([{ weightDecay: 0, parameters: [['p', parameter]] }]).step(0.25);
  expect([...parameter.toFloat64Array()]).toEqual([0.75, 2.25, 3]);
});
