import { describe, expect, test } from 'vitest';
import { gradientError, input, wave } from '../../test/finite-differences.js';
import { dropPath } from '../nn/layers.js';
import * as ops from './ops.js';
import { Generator } from './random.js';
import { fromArray, type Tensor } from './tensor.js';

const f64 = (values: ArrayLike<number>, shape: readonly number[]) =>
  fromArray(Float64Array.from(values), shape);
const labels = (...values: number[]) => fromArray(BigInt64Array.from(values, BigInt), [values.length]);
const valuesOf = (x: Tensor) => Array.from(x.toFloat64Array());

function expectClose(
  actual: Tensor,
  shape: readonly number[],
  expected: readonly number[],
  tolerance = 1e-12,
) {
  expect(actual.shape).toEqual(shape);
  const values = valuesOf(actual);
  expect(values).toHaveLength(expected.length);
  for (const [i, value] of values.entries()) expect(Math.abs(value - expected[i])).toBeLessThan(tolerance);
}

describe('values', () => {
  const x = f64([1, 2, 3, 4, 5, 6], [2, 3]);

  test('arithmetic broadcasts', () => {
    const row = f64([10, 20, 30], [3]);
    expectClose(ops.add(x, row), [2, 3], [11, 22, 33, 14, 25, 36]);
    expectClose(ops.sub(x, row), [2, 3], [-9, -18, -27, -6, -15, -24]);
    expectClose(ops.mul(x, row), [2, 3], [10, 40, 90, 40, 100, 180]);
    expectClose(ops.mul(x, 0.5), [2, 3], [0.5, 1, 1.5, 2, 2.5, 3]);
    expectClose(ops.divide(x, row), [2, 3], [0.1, 0.1, 0.1, 0.4, 0.25, 0.2]);
    expectClose(ops.divide(x, 2), [2, 3], [0.5, 1, 1.5, 2, 2.5, 3]);
  });

  test('maxima over 2 x 2 pixels; a side of one pixel stays', () => {
    const square = f64([1, 5, 2, 0, 3, 4, 9, 8], [1, 1, 2, 4]);
    expectClose(ops.halvedByMax(square), [1, 1, 1, 2], [5, 9]);
    expectClose(ops.halvedByMax(f64([1, 5, 2, 0], [1, 1, 1, 4])), [1, 1, 1, 2], [5, 2]);
    expectClose(ops.halvedByMax(f64([1, 5, 2], [1, 1, 3, 1])), [1, 1, 1, 1], [5]);
  });

  test('reductions', () => {
    expectClose(ops.sum(x), [], [21]);
    expectClose(ops.mean(x), [], [3.5]);
    expectClose(ops.mean(x, 0), [3], [2.5, 3.5, 4.5]);
    expectClose(ops.mean(x, 1), [2], [2, 5]);
  });

  test('linear is x W^T + b', () => {
    const weight = f64([1, 0, -1, 2, 2, 2], [2, 3]);
    expectClose(ops.linear(x, weight, null), [2, 2], [-2, 12, -2, 30]);
    expectClose(ops.linear(x, weight, f64([100, 200], [2])), [2, 2], [98, 212, 98, 230]);
    expectClose(ops.matmul(x, ops.transpose(weight, 0, 1)), [2, 2], [-2, 12, -2, 30]);
  });

  test('layerNorm divides by the biased deviation', () => {
    // Of 1 2 3: mean 2, variance 2/3.
    const deviation = Math.sqrt(2 / 3 + 0.5);
    const expected = [-1, 0, 1, -1, 0, 1].map(
      (v, i) => (v / deviation) * [2, 3, 4][i % 3] + [0, 1, -1][i % 3],
    );
    expectClose(ops.layerNorm(x, f64([2, 3, 4], [3]), f64([0, 1, -1], [3]), 0.5), [2, 3], expected);
  });

  test('gelu is exact (not the tanh approximation)', () => {
    // x times the normal distribution function at x; tanh's approximation is off by 1.5e-4 at 1.
    expectClose(
      ops.gelu(f64([0, 1, -1, 2], [4])),
      [4],
      [0, 0.8413447460685429, -0.15865525393145707, 1.9544997361036416],
    );
  });

  test('attention is softmax(Q K^T / sqrt(d)) V, head by head', () => {
    const [heads, tokens, width] = [2, 3, 4];
    const shape = [1, heads, tokens, width];
    const [q, k, v] = [1, 2, 3].map((phase) => wave(heads * tokens * width, phase));
    const at = (a: Float64Array, h: number, n: number, d: number) => a[(h * tokens + n) * width + d];
    const range = (n: number) => Array.from({ length: n }, (_, i) => i);
    const expected = range(heads).flatMap((h) =>
      range(tokens).flatMap((n) => {
        const scores = range(tokens).map((m) =>
          Math.exp(range(width).reduce((s, d) => s + at(q, h, n, d) * at(k, h, m, d), 0) / Math.sqrt(width)),
        );
        const total = scores.reduce((a, b) => a + b);
        return range(width).map((d) =>
          range(tokens).reduce((s, m) => s + (scores[m] / total) * at(v, h, m, d), 0),
        );
      }),
    );
    expectClose(ops.attention(f64(q, shape), f64(k, shape), f64(v, shape)), shape, expected);
  });

  test('crossEntropy of labels, of distributions, and smoothed', () => {
    const logits = f64([0, Math.log(3), 0, Math.log(4), 0, 0], [2, 3]);
    // Softmax: 1/5 3/5 1/5, and 4/6 1/6 1/6.
    const [hit, other] = [-Math.log(3 / 5), -Math.log(1 / 5)];
    const [hit2, other2] = [-Math.log(4 / 6), -Math.log(1 / 6)];
    expectClose(ops.crossEntropy(logits, labels(1, 2)), [], [(hit + other2) / 2]);
    const uniform = ((hit + 2 * other) / 3 + (hit2 + 2 * other2) / 3) / 2;
    expectClose(
      ops.crossEntropy(logits, labels(1, 2), 0.1),
      [],
      [0.9 * ((hit + other2) / 2) + 0.1 * uniform],
    );
    const target = f64([0.5, 0.5, 0, 1, 0, 0], [2, 3]);
    expectClose(ops.crossEntropy(logits, target), [], [((hit + other) / 2 + hit2) / 2]);
  });

  test('shapes', () => {
    expectClose(ops.reshape(x, [3, 2]), [3, 2], [1, 2, 3, 4, 5, 6]);
    expectClose(ops.reshape(x, [-1]), [6], [1, 2, 3, 4, 5, 6]);
    expectClose(ops.permute(x, [1, 0]), [3, 2], [1, 4, 2, 5, 3, 6]);
    expectClose(ops.transpose(x, 0, 1), [3, 2], [1, 4, 2, 5, 3, 6]);
    expectClose(ops.select(x, 1, 2), [2], [3, 6]);
    expectClose(ops.slice(x, 1, 1), [2, 2], [2, 3, 5, 6]);
    expectClose(ops.slice(x, 1, 0, 1), [2, 1], [1, 4]);
    expectClose(ops.concat([x, x], 0), [4, 3], [1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 6]);
    expectClose(ops.concat([x, f64([7, 8], [2, 1])], 1), [2, 4], [1, 2, 3, 7, 4, 5, 6, 8]);
    expectClose(ops.expand(f64([1, 2], [2, 1]), [-1, 3]), [2, 3], [1, 1, 1, 2, 2, 2]);
    expect(ops.unbind(x, 0).map(valuesOf)).toEqual([
      [1, 2, 3],
      [4, 5, 6],
    ]);
  });

  test('views share memory, copies do not', () => {
    const base = f64([1, 2, 3], [3]);
    const [copy, view] = [ops.clone(base), ops.detach(base)];
    ops.copyInto(ops.slice(base, 0, 0, 1), f64([9], [1]));
    expect(valuesOf(view)).toEqual([9, 2, 3]);
    expect(valuesOf(copy)).toEqual([1, 2, 3]);
  });

  test('conversions', () => {
    const narrow = ops.to(f64([1.5, -2.25], [2]), { dtype: 'BF16' });
    expect(narrow.dtype).toBe('BF16');
    expectClose(ops.to(narrow, { dtype: 'F64' }), [2], [1.5, -2.25]);
    const whole = fromArray(Int32Array.of(0, 0), [2]);
    ops.copyInto(whole, f64([3.7, -3.7], [2]));
    expectClose(ops.to(whole, { dtype: 'F64' }), [2], [3, -3]);
    expect(ops.zeros([2]).toFloat32Array()).toEqual(Float32Array.of(0, 0));
    expect(ops.ones([2], 'F64').toFloat64Array()).toEqual(Float64Array.of(1, 1));
    expect(ops.scalar(0.1, 'F64').item()).toBe(0.1);
    expect(ops.scalar(0.1).item()).toBe(Math.fround(0.1));
  });

  test('the largest of each row, and equal elements', () => {
    const top = ops.topIndices(f64([0.1, 0.9, 0.5, 3, 1, 2], [2, 3]), 2);
    expect(top.dtype).toBe('I64');
    expect([...new BigInt64Array(top.toData().data.buffer)]).toEqual([1n, 2n, 0n, 2n]);
    const hits = ops.equal(top, fromArray(BigInt64Array.of(2n, 2n), [2, 1]));
    expect([...hits.toData().data]).toEqual([0, 1, 0, 1]);
  });

  test('bicubic upsampling: a = -0.75, half-pixel centres, clamped borders', () => {
    const a = -0.75;
    const kernel = (d: number) => {
      const t = Math.abs(d);
      if (t <= 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
      return t < 2 ? a * t ** 3 - 5 * a * t ** 2 + 8 * a * t - 4 * a : 0;
    };
    const image = wave(9, 5);
    const along = (size: number, to: number, i: number) => {
      const centre = ((i + 0.5) * size) / to - 0.5;
      const first = Math.floor(centre) - 1;
      return [0, 1, 2, 3].map((j) => {
        const at = Math.min(Math.max(first + j, 0), size - 1);
        return [at, kernel(centre - first - j)] as const;
      });
    };
    const expected: number[] = [];
    for (let y = 0; y < 5; y++)
      for (let x2 = 0; x2 < 4; x2++) {
        let total = 0;
        for (const [row, u] of along(3, 5, y))
          for (const [column, v] of along(3, 4, x2)) total += u * v * image[3 * row + column];
        expected.push(total);
      }
    expectClose(ops.upsampleBicubic(f64(image, [1, 1, 3, 3]), 5, 4), [1, 1, 5, 4], expected);
  });
});

describe('gradients equal finite differences', () => {
  const generator = new Generator();
  const cases: [string, Parameters<typeof gradientError>[0], Parameters<typeof gradientError>[1]][] = [
    ['linear', [input([2, 3, 4], 1), input([5, 4], 2), input([5], 3)], (x, w, b) => ops.linear(x, w, b)],
    ['linear without bias', [input([3, 4], 1), input([5, 4], 2)], (x, w) => ops.linear(x, w, null)],
    [
      'layerNorm',
      [input([2, 3, 5], 1), input([5], 2), input([5], 3)],
      (x, w, b) => ops.layerNorm(x, w, b, 1e-6),
    ],
    ['gelu', [input([20], 1)], (x) => ops.gelu(ops.mul(x, 3))],
    ['attention', [input([2, 2, 3, 4], 1), input([2, 2, 3, 4], 2), input([2, 2, 3, 4], 3)], ops.attention],
    ['crossEntropy', [input([3, 4], 1)], (x) => ops.crossEntropy(x, labels(0, 3, 1))],
    ['crossEntropy, smoothed', [input([3, 4], 1)], (x) => ops.crossEntropy(x, labels(0, 3, 1), 0.1)],
    ['mean of a dimension', [input([2, 3, 4], 1)], (x) => ops.mean(x, 1)],
    ['mean of all', [input([2, 3], 1)], (x) => ops.mean(ops.mul(x, x))],
    ['select', [input([2, 3, 4], 1)], (x) => ops.select(ops.mul(x, x), 1, 0)],
    [
      'concat of an expanded token',
      [input([1, 1, 4], 1), input([2, 3, 4], 2)],
      (token, x) => {
        const tokens = ops.concat([ops.expand(token, [2, 1, 4]), x], 1);
        return ops.mul(tokens, tokens);
      },
    ],
    [
      'permute, reshape, unbind',
      [input([2, 3, 4], 1)],
      (x) => {
        const [a, b] = ops.unbind(ops.reshape(ops.permute(x, [2, 0, 1]), [2, 3, 4]), 0);
        return ops.mul(a, b);
      },
    ],
    [
      'division and subtraction',
      [input([2, 3], 1), input([3], 2)],
      (x, y) => ops.divide(ops.sub(x, y), ops.add(ops.mul(y, y), f64([1], [1]))),
    ],
    ['dropPath', [input([6, 2, 3], 1)], (x) => dropPath(ops.mul(x, x), 0.4, generator.seed(['fixed']))],
  ];
  test.each(cases)('%s', (_, inputs, f) => {
    expect(gradientError(inputs, f)).toBeLessThan(1e-8);
  });

  test('and a wrong gradient is detected', () => {
    const wrong = (x: Tensor) => ops.mul(x, ops.detach(x));
    expect(gradientError([input([3], 1)], wrong)).toBeGreaterThan(0.01);
  });
});
