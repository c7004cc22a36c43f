import { expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { backward, noGrad } from '../torch/autograd.js';
import { mul, ones, sum } from '../torch/ops.js';
import { Generator } from '../torch/random.js';
import { scope } from '../torch/scope.js';
import { fromArray } from '../torch/tensor.js';
import type { InitContext } from './init.js';
import { Attention, Linear } from './layers.js';
import { Module, parameter } from './module.js';

const context: InitContext = { device: 'cpu', dtype: 'F32', generator: new Generator().seed([0]) };

class Nested extends Module {
  readonly text = 'no parameter';
  readonly none = null;
  readonly list = [new Linear(1, 1, context, { bias: false }), 'no module', new Linear(1, 1, context)];
  readonly single = new Attention(2, 1, false, context);
  readonly own = parameter(() => ones([3]));
  readonly #hidden = new Linear(1, 1, context);

  hidden() {
    return this.#hidden;
  }
}

test("names are PyTorch's: own parameters first, children in order, lists by index", () => {
  const module = new Nested();
  expect(Array.from(module.namedParameters(), ([name]) => name)).toEqual([
    'own',
    'list.0.weight',
    'list.2.weight',
    'list.2.bias',
    'single.qkv.weight',
    'single.proj.weight',
    'single.proj.bias',
  ]);
  expect(module.hidden().parameters()).toHaveLength(2);
});

test('a frozen module gets no gradient, and passes one on', () => {
  const [first, second] = [new Linear(2, 2, context), new Linear(2, 2, context)];
  second.setTrainable(false);
  const step = () => scope(() => backward(sum(second.forward(first.forward(ones([3, 2]))))));
  step();
  expect(first.weight.grad).not.toBeNull();
  expect(second.weight.grad).toBeNull();
  second.setTrainable(true);
  step();
  expect(second.weight.grad).not.toBeNull();
});

test('a parameter created inside scopes and noGrad outlives them, and records', () => {
  const made = scope(() => ({ it: noGrad(() => parameter(() => mul(ones([2]), 2))) })).it;
  expect(made.requiresGrad).toBe(true);
  expect([...made.toFloat32Array()]).toEqual([2, 2]);
  scope(() => backward(sum(mul(made, made))));
  expect([...(made.grad?.toFloat32Array() ?? [])]).toEqual([4, 4]);
});

test('a tensor that cannot be trained is refused by name; in a #private field it is not a parameter', () => {
  const table = () => fromArray(BigInt64Array.of(1n, 2n), [2]);
  class Constant extends Module {
    readonly table = table();
  }
  class Hidden extends Module {
    readonly #table = table();
    shape() {
      return this.#table.shape;
    }
  }
  class Outer extends Module {
    readonly blocks = [new Constant()];
  }
  expect(() => new Outer().setTrainable(true)).toThrow(InputError);
  expect(() => new Outer().setTrainable(true)).toThrow('blocks.0.table is I64, which cannot be trained');
  expect(new Outer().setTrainable(false).parameters()).toHaveLength(1);
  expect(new Hidden().setTrainable(true).parameters()).toEqual([]);
  expect(new Hidden().shape()).toEqual([2]);
});

test('heads that do not share the width evenly are refused', () => {
  expect(() => new Attention(16, 3, true, context)).toThrow('heads 3 does not divide width 16');
});
