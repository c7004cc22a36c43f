import { expect, test } from 'vitest';
import { casesOf, differenceFrom, parameterOf, setGradient } from '../../../test/optimizer-support.js';
import { type SgdOptions, sgd } from './sgd.js';

const options: Record<string, SgdOptions> = {
  sgd: { momentum: 0 },
  'sgd momentum': {},
  'sgd nesterov': { momentum: 0.8, nesterov: true },
};

test.each(casesOf('sgd'))('%s: the weights of every step are those of torch.optim.SGD', (name) => {
  expect(differenceFrom(name, 'F64', (groups) => sgd(groups, options[name]))).toBeLessThan(1e-14);
  expect(differenceFrom(name, 'F32', (groups) => sgd(groups, options[name]))).toBeLessThan(1e-6);
});

test('without momentum Nesterov changes nothing, and only the number of steps is kept', () => {
  const difference = differenceFrom('sgd', 'F64', (groups) => sgd(groups, { momentum: 0, nesterov: true }));
  expect(difference).toBeLessThan(1e-14);

  const parameter = parameterOf(Float64Array.of(1, 2), [2]);
  const optimizer = sgd([{ weightDecay: 0, parameters: [['p', parameter]] }], { momentum: 0 });
  setGradient(parameter, [1, -1]);
  optimizer.step(0.5);
  expect([...parameter.toFloat64Array()]).toEqual([0.5, 2.5]);
  expect([...optimizer.state().keys()]).toEqual(['step']);
});
