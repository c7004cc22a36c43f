import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type DType, dtypeSize, elementCount } from '../base/tensor-data.js';
import { add, expand, ones, select, to, transpose } from './ops.js';
import { scope } from './scope.js';
import { fromArray, fromData } from './tensor.js';

const DTYPES: DType[] = ['F64', 'F32', 'F16', 'BF16', 'I64', 'I32', 'I16', 'I8', 'U8', 'BOOL'];

describe.each(DTYPES)('%s', (dtype) => {
  test('is written and read unchanged, whatever its bytes and shape', () => {
    const shapes = fc.array(fc.integer({ min: 0, max: 4 }), { maxLength: 4 });
    fc.assert(
      fc.property(
        shapes,
        fc.infiniteStream(fc.integer({ min: 0, max: dtype === 'BOOL' ? 1 : 255 })),
        (shape, bytes) => {
          const data = Uint8Array.from(
            { length: elementCount(shape) * dtypeSize(dtype) },
            () => bytes.next().value,
          );
          const back = scope(() => {
            const tensor = fromData({ dtype, shape, data });
            expect(tensor.toString()).toBe(`${dtype}[${shape.join(', ')}]`);
            expect(tensor.device).toBe('cpu');
            return tensor.toData();
          });
          expect(back).toEqual({ dtype, shape, data });
        },
      ),
      { numRuns: 50 },
    );
  });

  test('holds 0 and 1', () => {
    const tensor = fromData({ dtype, shape: [2], data: ones01[dtype] });
    expect([...to(tensor, { dtype: 'F64' }).toFloat64Array()]).toEqual([0, 1]);
  });
});

/** [0, 1] as little-endian bytes. */
const bytes = (...values: number[]) => Uint8Array.from(values);
const ones01: Record<DType, Uint8Array> = {
  F64: bytes(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f),
  F32: bytes(0, 0, 0, 0, 0, 0, 0x80, 0x3f),
  F16: bytes(0, 0, 0, 0x3c),
  BF16: bytes(0, 0, 0x80, 0x3f),
  I64: bytes(0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0),
  I32: bytes(0, 0, 0, 0, 1, 0, 0, 0),
  I16: bytes(0, 0, 1, 0),
  I8: bytes(0, 1),
  U8: bytes(0, 1),
  BOOL: bytes(0, 1),
};

test('the bytes are copied, in and out', () => {
  const values = Float32Array.of(1, 2);
  const tensor = fromArray(values, [2]);
  values[0] = 9;
  const out = tensor.toFloat32Array();
  expect([...out]).toEqual([1, 2]);
  out[0] = 9;
  expect([...tensor.toFloat32Array()]).toEqual([1, 2]);
});

test('a view of a larger buffer is accepted', () => {
  const buffer = Float64Array.of(1, 2, 3, 4);
  expect([...fromArray(buffer.subarray(1, 3), [2]).toFloat64Array()]).toEqual([2, 3]);
});

test('strided tensors are read in C order', () => {
  const matrix = fromArray(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3]);
  expect([...transpose(matrix, 0, 1).toFloat32Array()]).toEqual([1, 4, 2, 5, 3, 6]);
  expect([...select(matrix, 1, 1).toFloat32Array()]).toEqual([2, 5]);
  expect([...expand(fromArray(Float32Array.of(7), [1]), [3]).toFloat32Array()]).toEqual([7, 7, 7]);
});

test('typed arrays keep their type', () => {
  expect(fromArray(Int32Array.of(-1), [1]).dtype).toBe('I32');
  expect(fromArray(BigInt64Array.of(-1n), []).item()).toBe(-1);
  expect(fromArray(Uint8Array.of(255), []).item()).toBe(255);
});

test('requiresGrad is seen and set', () => {
  const x = ones([2]);
  expect(x.requiresGrad).toBe(false);
  expect(x.grad).toBeNull();
  x.requiresGrad = true;
  expect(x.requiresGrad).toBe(true);
  const y = add(x, x);
  expect(y.requiresGrad).toBe(true);
  expect([...y.toFloat32Array()]).toEqual([2, 2]);
});
