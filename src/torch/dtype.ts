import type { DType } from '../base/tensor-data.js';

// c10::ScalarType's numbers, part of libtorch's stable ABI.
const SCALAR_TYPES: Record<DType, number> = {
  U8: 0,
  I8: 1,
  I16: 2,
  I32: 3,
  I64: 4,
  F16: 5,
  F32: 6,
  F64: 7,
  BOOL: 11,
  BF16: 15,
};

const NAMES = new Map(Object.entries(SCALAR_TYPES).map(([name, code]) => [code, name as DType]));

export function scalarType(dtype: DType): number {
  return SCALAR_TYPES[dtype];
}

/** @throws RangeError for an unsupported dtype (complex, quantised) */
export function dtypeOf(scalarType: number): DType {
  const name = NAMES.get(scalarType);
  if (name === undefined) throw new RangeError(`tensors of c10::ScalarType ${scalarType} are not supported`);
  return name;
}
