/**
 * A tensor as plain bytes, independent of any device, as stored in files and exchanged between processes.
 * `dtype` uses safetensors' names. `data` is C-contiguous, little-endian, exactly
 * `elementCount(shape) * dtypeSize(dtype)` bytes long.
 */
export interface TensorData {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

export type DType = keyof typeof DTYPE_SIZES;

const DTYPE_SIZES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

/** Bytes of one element. */
export function dtypeSize(dtype: DType): number {
  return DTYPE_SIZES[dtype];
}

export function isDType(name: string): name is DType {
  return Object.hasOwn(DTYPE_SIZES, name);
}

export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
