import { expect, test } from 'vitest';
import { wave } from '../../../test/finite-differences.js';
import { casesOf, differenceFrom, parameterOf, setGradient } from '../../../test/optimizer-support.js';
import { type AdamWOptions, adamw } from './adamw.js';

const SHAPE = [2, 3];
const start = wave(6, 1);
const gradientAt = (step: number) => wave(6, 10 + step);

const options: Record<string, AdamWOptions> = {
  adamw: {},
  'adamw betas': { betas: [0.8, 0.95], eps: 1e-3 },
};

test.each(casesOf('adamw'))('%s: the weights of every step are those of torch.optim.AdamW', (name) => {
  expect(differenceFrom(name, 'F64', (groups) => adamw(groups, options[name]))).toBeLessThan(1e-14);
  expect(differenceFrom(name, 'F32', (groups) => adamw(groups, options[name]))).toBeLessThan(1e-6);
});

test('five steps follow the formula, in float64', () => {
  const [lr, decay, beta1, beta2, eps] = [0.01, 0.1, 0.8, 0.9, 1e-3];
  const parameter = parameterOf(start, SHAPE);
  const bias = parameterOf(start, SHAPE);
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
  const parameter = parameterOf(start, SHAPE);
  setGradient(parameter, gradientAt(0));
  adamw([{ weightDecay: 0, parameters: [['p', parameter]] }]).step(0.1);
  for (const [i, g] of gradientAt(0).entries()) {
    expect(parameter.toFloat64Array()[i]).toBeCloseTo(start[i] - (0.1 * g) / (Math.abs(g) + 1e-8), 12);
  }
});
