import { describe, expect, test } from 'vitest';
import { needs } from '../../test/needs.js';
import { DeepIncubationError } from '../base/errors.js';
import { backward } from './autograd.js';
import { engineInfo } from './engine.js';
import { FreedTensorError, TorchError } from './errors.js';
import { type Argument, operator, tensorOperator } from './operator.js';
import * as ops from './ops.js';
import { Generator } from './random.js';
import { scope } from './scope.js';
import { fromArray, fromData, type Tensor } from './tensor.js';

const { libtorch } = engineInfo();
const x = ops.ones([2, 3]);
const y = ops.ones([4, 5]);
const add = tensorOperator('aten::add', 'Tensor');

function errorOf(work: () => unknown): DeepIncubationError {
  try {
    scope(work);
  } catch (error) {
    expect(error).toBeInstanceOf(DeepIncubationError);
    return error as DeepIncubationError;
  }
  throw new Error('no error was thrown');
}

describe('errors name the operator and its operands', () => {
  const freed = ops.ones([7]);
  expect(freed.shape).toEqual([7]);
  freed.free();

  test.each<[string, () => unknown, string]>([
    [
      'wrong shapes',
      () => ops.matmul(x, y),
      'aten::matmul(F32[2, 3], F32[4, 5]): mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)',
    ],
    [
      'shapes that do not broadcast',
      () => ops.add(x, y),
      'aten::add.Tensor(F32[2, 3], F32[4, 5]): The size of tensor a (3) must match the size of tensor b (5)',
    ],
    [
      'wrong dtypes',
      () => ops.matmul(x, ops.ones([3, 2], 'F64')),
      'aten::matmul(F32[2, 3], F64[3, 2]): expected m1 and m2 to have the same dtype',
    ],
    [
      'integers where floats are needed',
      () => ops.gelu(fromArray(Int32Array.of(1), [1])),
      'aten::gelu(I32[1]): "GeluKernelImpl" not implemented for \'Int\'',
    ],
    [
      'a label out of range',
      () => ops.crossEntropy(x, fromArray(BigInt64Array.of(0n, 3n), [2])),
      'aten::cross_entropy_loss(F32[2, 3], I64[2], null, 1, -100, 0): Target 3 is out of bounds.',
    ],
    [
      'an unknown operator',
      () => operator('aten::no_such')(x),
      `aten::no_such(F32[2, 3]): libtorch ${libtorch} has no operator aten::no_such`,
    ],
    [
      'an unknown overload',
      () => operator('aten::add', 'No')(),
      `aten::add.No(): libtorch ${libtorch} has no operator aten::add.No`,
    ],
    ['too few arguments', () => add(x), "aten::add.Tensor(F32[2, 3]): argument 'other' is missing"],
    [
      'too many arguments',
      () => add(x, x, 1, 2),
      'aten::add.Tensor(F32[2, 3], F32[2, 3], 1, 2): takes 3 arguments, got 4',
    ],
    [
      'a number for a tensor',
      () => add(x, 1),
      "aten::add.Tensor(F32[2, 3], 1): argument 'other': expected a tensor, got a number",
    ],
    [
      'a generator for a tensor',
      () => add(x, new Generator()),
      "aten::add.Tensor(F32[2, 3], generator): argument 'other': expected a tensor, got a generator",
    ],
    [
      'a number among tensors',
      () => tensorOperator('aten::cat')([x, 0], 0),
      "aten::cat([F32[2, 3], 0], 0): argument 'tensors': expected a tensor, got a number",
    ],
    [
      'a tensor for a number',
      () => ops.mean(x, x as unknown as number),
      "aten::mean.dim(F32[2, 3], [F32[2, 3]]): argument 'dim': expected a value, got a tensor",
    ],
    [
      'a tensor for a generator',
      () => operator('aten::normal_')(x, 0, 1, x),
      "aten::normal_(F32[2, 3], 0, 1, F32[2, 3]): argument 'generator': expected a generator, got a tensor",
    ],
    [
      'a string for a number',
      () => tensorOperator('aten::mul', 'Scalar')(x, 'two'),
      "aten::mul.Scalar(F32[2, 3], two): argument 'other' (Scalar): expected a number, got a string",
    ],
    [
      'a fraction for an integer',
      () => ops.select(x, 0, 0.5),
      "aten::select.int(F32[2, 3], 0, 0.5): argument 'index' (int): expected an integer, got 0.5",
    ],
    [
      'infinity for an integer',
      () => ops.reshape(x, [Infinity]),
      "aten::reshape(F32[2, 3], [Infinity]): argument 'shape' (int[]): expected an integer, got inf",
    ],
    [
      'a number for a list',
      () => tensorOperator('aten::reshape')(x, 6),
      "aten::reshape(F32[2, 3], 6): argument 'shape' (int[]): expected an array, got a number",
    ],
    [
      'a number for a flag',
      () => tensorOperator('aten::contiguous')(x, true),
      "aten::contiguous(F32[2, 3], true): argument 'memory_format' (int): expected a number, got a boolean",
    ],
    [
      'null for a tensor',
      () => add(x, null),
      "aten::add.Tensor(F32[2, 3], null): argument 'other' (Tensor): expected a tensor or generator, got null",
    ],
    [
      'a wrong device',
      () => ops.zeros([1], 'F32', 'tpu'),
      "aten::zeros([1], 6, null, tpu): argument 'device' (Device?): Expected one of cpu, cuda",
    ],
    [
      'a long list',
      () =>
        ops.concat(
          Array.from({ length: 9 }, (_, i) => ops.ones([i + 1, i + 1])),
          0,
        ),
      'aten::cat([F32[1, 1], F32[2, 2], F32[3, 3], F32[4, 4], F32[5, 5], ... 9 in all], 0): Sizes of tensors must match',
    ],
    [
      'several elements for one',
      () => x.item(),
      'item() of F32[2, 3]: a Tensor with 6 elements cannot be converted to Scalar',
    ],
    [
      'gradients of integers',
      () => {
        fromArray(Int32Array.of(1), [1]).requiresGrad = true;
      },
      'requiresGrad = true of I32[1]: Only Tensors of floating point',
    ],
    [
      'too few elements',
      () => fromArray(Float32Array.of(1, 2), [3]),
      'a tensor F32[3] on cpu: shape [3] of Float needs 12 bytes, got 8',
    ],
    [
      'a negative size',
      () => fromData({ dtype: 'U8', shape: [-1], data: new Uint8Array(1) }),
      'a tensor U8[-1] on cpu: ',
    ],
    [
      'elements of another dtype',
      () => ops.ones([2], 'F64').toFloat32Array(),
      'toFloat32Array() of F64[2]: the tensor is not F32',
    ],
    [
      'a backward pass through nothing',
      () => backward(ops.sum(x)),
      'backward(F32[]): element 0 of tensors does not require grad',
    ],
  ])('%s', (_, work, message) => {
    const error = errorOf(work);
    expect(error).toBeInstanceOf(TorchError);
    expect(error.message).toContain(message);
    expect(error.message).not.toMatch(/INTERNAL ASSERT|Exception raised from/);
  });

  test.each(['gpu', 'CPU', 'cuda:x'])('the device %s is refused with a list of devices', (device) => {
    const error = errorOf(() => ops.zeros([1], 'F32', device));
    expect(error).toBeInstanceOf(TorchError);
    expect(error.message).toContain(`aten::zeros([1], 6, null, ${device}): `);
    expect(error.hint).toContain('a device is cpu, cuda or cuda:<n>');
  });

  const withGpu = engineInfo().cudaDevices > 0 ? 'this machine has a GPU' : undefined;

  test(
    'a GPU without CUDA in libtorch is refused in one line',
    needs({ missing: withGpu, optional: true }),
    () => {
      for (const work of [() => ops.zeros([1], 'F32', 'cuda'), () => ops.to(x, { device: 'cuda:0' })]) {
        const error = errorOf(work);
        expect(error).toBeInstanceOf(TorchError);
        expect(error.message.length).toBeLessThan(120);
        expect(error.message).toContain('CUDA');
        expect(error.hint).toContain('cpu');
      }
    },
  );

  test('a freed tensor', () => {
    const error = errorOf(() => ops.add(x, freed));
    expect(error).toBeInstanceOf(FreedTensorError);
    expect(error.message).toBe(
      'aten::add.Tensor(F32[2, 3], freed tensor): a tensor (shape [7]) was used after it was freed',
    );
    expect(error.hint).toContain('keep(tensor)');
    expect(() => freed.item()).toThrow(FreedTensorError);
    expect(() => freed.dtype).toThrow(FreedTensorError);
    expect(() => backward(freed)).toThrow(FreedTensorError);
    expect(errorOf(() => ops.concat([x, freed], 0)).message).toContain(
      'aten::cat([F32[2, 3], freed tensor], 0)',
    );
  });

  test('an operator works again after a failed call', () => {
    expect(() => add(x)).toThrow(TorchError);
    expect(add(x, x).shape).toEqual([2, 3]);
    const unknown = operator('aten::still_no_such');
    expect(() => unknown()).toThrow('has no operator');
    expect(() => unknown()).toThrow('has no operator');
  });
});

test('left-out arguments have their defaults, null is None', () => {
  const addScaled = (...args: Argument[]): Tensor => add(x, x, ...args);
  expect([...addScaled().toFloat32Array()]).toEqual([2, 2, 2, 2, 2, 2]);
  expect([...addScaled(undefined).toFloat32Array()]).toEqual([2, 2, 2, 2, 2, 2]);
  expect([...addScaled(3).toFloat32Array()]).toEqual([4, 4, 4, 4, 4, 4]);
  expect(tensorOperator('aten::clamp')(x, null, 0.5).toFloat32Array()[0]).toBe(0.5);
});

test('numbers, flags, strings and lists of optional tensors pass', () => {
  const index = tensorOperator('aten::index', 'Tensor');
  const matrix = fromArray(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
  expect([...index(matrix, [null, fromArray(BigInt64Array.of(2n, 0n), [2])]).toFloat32Array()]).toEqual([
    3, 1, 6, 4,
  ]);
  expect([...tensorOperator('aten::cumsum')(matrix, 1).toFloat32Array()]).toEqual([1, 3, 6, 4, 9, 15]);
  expect([...tensorOperator('aten::gelu')(ops.ones([1]), 'tanh').toFloat32Array()][0]).toBeCloseTo(
    0.841192,
    6,
  );
  expect(operator<boolean>('aten::is_nonzero')(ops.ones([1]))).toBe(true);
  expect(operator<number>('aten::size', 'int')(matrix, -1)).toBe(3);
});
