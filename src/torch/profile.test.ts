import { expect, test } from 'vitest';
import { backward } from './autograd.js';
import { linear, ones, sum } from './ops.js';
import { profile } from './profile.js';
import { scope } from './scope.js';

test('counts everything that runs inside, including the backward pass and nested operators', () => {
  const [x, weight] = [ones([2, 3, 4]), ones([5, 4])];
  weight.requiresGrad = true;
  scope(() => {
    linear(x, weight, null);
    let loss = ones([]);
    const forward = profile(() => {
      loss = sum(linear(x, weight, null));
    });
    expect(forward.get('aten::linear')?.count).toBe(1);
    // `sum` calls its other overload.
    expect(forward.get('aten::sum')?.count).toBe(2);
    const products = (operators: typeof forward) =>
      ['aten::mm', 'aten::addmm'].reduce((total, name) => total + (operators.get(name)?.count ?? 0), 0);
    expect(products(forward)).toBe(1);
    const back = profile(() => backward(loss));
    expect(products(back)).toBe(1);
    expect(back.has('aten::linear')).toBe(false);
  });
});

test('times are inclusive, the longest first', () => {
  const operators = profile(() => scope(() => linear(ones([300, 300]), ones([300, 300]), null)));
  const times = [...operators.values()].map(({ milliseconds }) => milliseconds);
  expect(times).toEqual([...times].sort((a, b) => b - a));
  const time = (name: string) => operators.get(name)?.milliseconds ?? Number.NaN;
  expect(time('aten::linear')).toBeGreaterThanOrEqual(time('aten::mm'));
});

test('stops at an exception, and does not nest', () => {
  expect(() =>
    profile(() => {
      throw new Error('on purpose');
    }),
  ).toThrow('on purpose');
  expect(() => profile(() => profile(() => {}))).toThrow('a profile is being taken already');
  const counted = profile(() => scope(() => ones([1])));
  expect(counted.get('aten::ones')?.count).toBe(1);
  ones([1]);
  expect(counted.get('aten::ones')?.count).toBe(1);
});
