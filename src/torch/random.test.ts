import { afterAll, describe, expect, test } from 'vitest';
import { engineInfo, setThreads } from './engine.js';
import { bernoulli, fillNormal, fillUniform, zeros } from './ops.js';
import { Generator } from './random.js';
import { liveHandles, scope } from './scope.js';

const threads = engineInfo().threads;
afterAll(() => setThreads(threads));

// Large enough for libtorch to share the work among its threads.
const SIZE = 200_000;
type Draw = (generator: Generator) => Float32Array;
const filled =
  (fill: (x: ReturnType<typeof zeros>, generator: Generator) => void): Draw =>
  (generator) =>
    scope(() => {
      const x = zeros([SIZE]);
      fill(x, generator);
      return x.toFloat32Array();
    });
const draws: Record<string, Draw> = {
  uniform: filled((x, generator) => fillUniform(x, -1, 3, generator)),
  normal: filled((x, generator) => fillNormal(x, 2, 0.5, generator)),
  bernoulli: (generator) => scope(() => bernoulli([SIZE], 0.7, generator).toFloat32Array()),
};

describe.each(Object.entries(draws))('%s', (_, draw) => {
  test('depends on the key', () => {
    const [a, b] = [new Generator(), new Generator()];
    const first = draw(a.seed([1, 'x', 2]));
    const second = draw(a);
    expect(draw(b.seed([1, 'x', 2]))).toEqual(first);
    expect(draw(b)).toEqual(second);
    expect(second).not.toEqual(first);
    expect(draw(a.seed([1, 'x', 3]))).not.toEqual(first);
  });

  test('does not depend on the number of threads', () => {
    const generator = new Generator();
    setThreads(1);
    const alone = draw(generator.seed(['threads']));
    setThreads(3);
    expect(engineInfo().threads).toBe(3);
    expect(draw(generator.seed(['threads']))).toEqual(alone);
  });
});

function moments(values: Float32Array): { mean: number; variance: number } {
  const mean = values.reduce((a, b) => a + b) / values.length;
  return { mean, variance: values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length };
}

test('the distributions have their means and variances', () => {
  const generator = new Generator().seed(['moments']);
  // Standard errors of the means are below 0.003; of the variances below 0.004.
  const uniform = draws.uniform(generator);
  expect(Math.min(...uniform.subarray(0, 50_000))).toBeGreaterThanOrEqual(-1);
  expect(Math.max(...uniform.subarray(0, 50_000))).toBeLessThan(3);
  expect(Math.abs(moments(uniform).mean - 1)).toBeLessThan(0.015);
  expect(Math.abs(moments(uniform).variance - 16 / 12)).toBeLessThan(0.02);
  const normal = moments(draws.normal(generator));
  expect(Math.abs(normal.mean - 2)).toBeLessThan(0.006);
  expect(Math.abs(normal.variance - 0.25)).toBeLessThan(0.005);
  const bernoulliDraws = draws.bernoulli(generator);
  expect(new Set(bernoulliDraws)).toEqual(new Set([0, 1]));
  expect(Math.abs(moments(bernoulliDraws).mean - 0.7)).toBeLessThan(0.006);
});

test('a generator belongs to no scope', () => {
  const before = liveHandles();
  const generator = scope(() => {
    const made = new Generator();
    return { made };
  }).made;
  expect(liveHandles()).toBe(before + 1);
  expect(draws.uniform(generator.seed([0]))).toHaveLength(SIZE);
});
