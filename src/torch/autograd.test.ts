import { describe, expect, test } from 'vitest';
import { autocast, backward, backwardFrom, clearGrads, gradMode, isRecording, noGrad } from './autograd.js';
import { TorchError } from './errors.js';
import { add, fillNormal, linear, matmul, mul, ones, sum, to, zeros } from './ops.js';
import { Generator } from './random.js';
import { liveHandles, scope } from './scope.js';
import { fromArray, type Tensor } from './tensor.js';

const parameter = (...values: number[]) => {
  const tensor = fromArray(Float32Array.from(values), [values.length]);
  tensor.requiresGrad = true;
  return tensor;
};
const gradOf = (x: Tensor) => scope(() => Array.from((x.grad as Tensor).toFloat32Array()));

describe('backward', () => {
  test('adds to the gradients, weighted, until they are cleared', () => {
    const x = parameter(1, 2, 3);
    expect(x.grad).toBeNull();
    scope(() => backward(sum(mul(x, x))));
    expect(gradOf(x)).toEqual([2, 4, 6]);
    scope(() => backward(sum(mul(x, x)), 0.5));
    expect(gradOf(x)).toEqual([3, 6, 9]);
    clearGrads([x]);
    expect(x.grad).toBeNull();
    clearGrads([x]);
    scope(() => backward(sum(x)));
    expect(gradOf(x)).toEqual([1, 1, 1]);
  });

  test('of several elements is refused', () => {
    const x = parameter(1, 2);
    expect(() => scope(() => backward(mul(x, 2)))).toThrow(
      /^backward\(F32\[2\]\): grad can be implicitly created only for scalar outputs/,
    );
  });

  test('frees the graph: a second pass is refused', () => {
    const x = parameter(1, 2);
    scope(() => {
      const loss = sum(mul(x, x));
      backward(loss);
      expect(() => backward(loss)).toThrow(TorchError);
    });
  });

  test('leaves no handle behind', () => {
    const x = parameter(1, 2);
    const before = liveHandles();
    for (let i = 0; i < 5; i++) scope(() => backward(sum(mul(x, x)), 0.5));
    expect(liveHandles()).toBe(before);
  });
});

describe('backwardFrom', () => {
  test('accumulates gradients from the gradient of an output', () => {
    const x = parameter(1, 2, 3);
    const before = liveHandles();
    scope(() => backwardFrom(mul(x, x), fromArray(Float32Array.of(1, 10, 100), [3])));
    expect(gradOf(x)).toEqual([2, 40, 600]);
    scope(() => backwardFrom(mul(x, 2), fromArray(Float32Array.of(1, 1, 1), [3])));
    expect(gradOf(x)).toEqual([4, 42, 602]);
    expect(liveHandles()).toBe(before);
  });

  test('of another shape, or of what needs no gradient, is refused', () => {
    const x = parameter(1, 2);
    expect(() => scope(() => backwardFrom(mul(x, 2), ones([3])))).toThrow(
      /^backwardFrom\(F32\[2\], F32\[3\]\)/,
    );
    expect(() => scope(() => backwardFrom(ones([2]), ones([2])))).toThrow(TorchError);
  });
});

describe('noGrad and gradMode', () => {
  const x = parameter(1);
  const records = () => {
    const recorded = scope(() => mul(x, 2).requiresGrad);
    expect(isRecording()).toBe(recorded);
    return recorded;
  };

  test('switch recording, nested', () => {
    expect(records()).toBe(true);
    noGrad(() => {
      expect(records()).toBe(false);
      gradMode(true, () => expect(records()).toBe(true));
      gradMode(false, () => expect(records()).toBe(false));
      expect(records()).toBe(false);
    });
    expect(records()).toBe(true);
    expect(noGrad(() => 7)).toBe(7);
  });

  test('come back after exceptions', () => {
    const fail = () => {
      throw new Error('on purpose');
    };
    expect(() => noGrad(fail)).toThrow('on purpose');
    expect(records()).toBe(true);
    noGrad(() => {
      expect(() => gradMode(true, fail)).toThrow('on purpose');
      expect(records()).toBe(false);
    });
    expect(() => noGrad(() => matmul(x, ones([5, 5])))).toThrow(TorchError);
    expect(records()).toBe(true);
  });
});

describe('autocast', () => {
  const a = ones([2, 2]);
  const dtype = () => scope(() => matmul(a, a).dtype);

  test('computes matrix products in its dtype, only inside', () => {
    expect(dtype()).toBe('F32');
    autocast('cpu', 'BF16', () => {
      expect(dtype()).toBe('BF16');
      expect(scope(() => add(a, a).dtype)).toBe('F32');
    });
    expect(dtype()).toBe('F32');
  });

  test('nests: the outer one continues with its own dtype', () => {
    autocast('cpu', 'BF16', () => {
      autocast('cpu', 'F16', () => expect(dtype()).toBe('F16'));
      expect(dtype()).toBe('BF16');
    });
    expect(dtype()).toBe('F32');
  });

  test('comes back after exceptions', () => {
    expect(() =>
      autocast('cpu', 'BF16', () => {
        throw new Error('on purpose');
      }),
    ).toThrow('on purpose');
    expect(dtype()).toBe('F32');
  });

  test('gives gradients in the dtype of the weights, close to the exact ones', () => {
    const generator = new Generator().seed([0]);
    const [x, weight] = [zeros([8, 16]), zeros([4, 16])];
    for (const tensor of [x, weight]) fillNormal(tensor, 0, 1, generator);
    weight.requiresGrad = true;
    const loss = () => sum(mul(to(linear(x, weight, null), { dtype: 'F32' }), 0.1));
    scope(() => backward(loss()));
    const exact = gradOf(weight);
    clearGrads([weight]);
    scope(() => backward(autocast('cpu', 'BF16', loss)));
    expect(weight.grad?.dtype).toBe('F32');
    for (const [i, gradient] of gradOf(weight).entries())
      expect(Math.abs(gradient - exact[i])).toBeLessThan(0.02);
  });

  test('sees weights that were changed between two passes', () => {
    const weight = ones([1, 1]);
    weight.requiresGrad = true;
    const product = () =>
      scope(() =>
        autocast('cpu', 'BF16', () => to(linear(ones([1, 1]), weight, null), { dtype: 'F32' }).item()),
      );
    expect(product()).toBe(1);
    noGrad(() => fillNormal(weight, 5, 0, new Generator()));
    expect(product()).toBe(5);
  });
});
