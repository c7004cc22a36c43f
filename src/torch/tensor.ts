import { type DType, dtypeSize, elementCount, type TensorData } from '../base/tensor-data.js';
import { FreedTensorError, failedCall, TorchError } from './errors.js';
import { type Handle, native } from './native.js';
import { type Owned, own, unwatchHandle } from './scope.js';

const FREED = -1;

/**
 * A libtorch tensor. It is freed at the end of the `scope` in which it was made, by `free()`, or, as a fallback,
 * some time after the last reference is gone.
 *
 * @example
 * const tensor: Tensor = fromArray(Float32Array.of(1, 2), [2]);
 * console.log(tensor.shape, tensor.dtype, tensor.device, tensor.toFloat32Array());
 * tensor.free();
 */
export class Tensor implements Owned {
  #handle: Handle;
  #shape: readonly number[] | undefined;

  /** Takes ownership of the handle. */
  constructor(handle: Handle) {
    this.#handle = handle;
    own(this);
  }

  /** @throws FreedTensorError */
  get handle(): Handle {
    if (this.#handle === FREED) {
      const what = this.#shape === undefined ? '' : ` (shape [${this.#shape.join(', ')}])`;
      throw new FreedTensorError(`a tensor${what} was used after it was freed`, {
        hint: 'to use it later, return it from its scope, or call keep(tensor)',
      });
    }
    return this.#handle;
  }

  get isFreed(): boolean {
    return this.#handle === FREED;
  }

  get shape(): readonly number[] {
    this.#shape ??= native.shape(this.handle);
    return this.#shape;
  }

  get dtype(): DType {
    return dtypeOf(native.dtype(this.handle));
  }

  get device(): string {
    return native.device(this.handle);
  }

  get requiresGrad(): boolean {
    return native.requiresGrad(this.handle);
  }

  /** @throws TorchError for integer tensors */
  set requiresGrad(flag: boolean) {
    const { handle } = this;
    try {
      native.setRequiresGrad(handle, flag);
    } catch (error) {
      throw failedCall(`requiresGrad = ${flag} of ${this}`, error);
    }
  }

  /** A new reference to the gradient that `backward` accumulated, or null. */
  get grad(): Tensor | null {
    const handle = native.grad(this.handle);
    return handle === null ? null : new Tensor(handle);
  }

  /** The value of a tensor of one element; waits for the device. */
  item(): number {
    const { handle } = this;
    try {
      return native.item(handle);
    } catch (error) {
      throw failedCall(`item() of ${this}`, error);
    }
  }

  /** The elements in C order, copied. */
  toData(): TensorData {
    const data = new Uint8Array(elementCount(this.shape) * dtypeSize(this.dtype));
    const { handle } = this;
    try {
      native.toBytes(handle, data);
    } catch (error) {
      throw failedCall(`the values of ${this}`, error);
    }
    return { dtype: this.dtype, shape: this.shape, data };
  }

  /** The elements of an F32 tensor in C order, copied. */
  toFloat32Array(): Float32Array {
    const { dtype, data } = this.toData();
    if (dtype !== 'F32') throw new TorchError(`toFloat32Array() of ${this}: the tensor is not F32`);
    return new Float32Array(data.buffer);
  }

  /** The elements of an F64 tensor in C order, copied. */
  toFloat64Array(): Float64Array {
    const { dtype, data } = this.toData();
    if (dtype !== 'F64') throw new TorchError(`toFloat64Array() of ${this}: the tensor is not F64`);
    return new Float64Array(data.buffer);
  }

  /** Frees the memory, unless libtorch itself (the autograd graph, a view) still refers to it. Idempotent. */
  free(): void {
    if (this.#handle === FREED) return;
    unwatchHandle(this);
    native.release([this.takeHandle()]);
  }

  /** For `scope`: hands the handle over to the caller, who must release it. */
  takeHandle(): Handle {
    const handle = this.handle;
    this.#handle = FREED;
    return handle;
  }

  toString(): string {
    return this.isFreed ? 'freed tensor' : `${this.dtype}[${this.shape.join(', ')}]`;
  }
}

/**
 * A tensor with the bytes of `data`, copied once.
 * @throws TorchError if the number of bytes does not match the shape and dtype
 */
export function fromData({ data, dtype, shape }: TensorData, device = 'cpu'): Tensor {
  return made({ data, dtype, shape }, device, true);
}

function made({ data, dtype, shape }: TensorData, device: string, waits: boolean): Tensor {
  try {
    return new Tensor(native.fromBytes(data, scalarType(dtype), shape, device, waits));
  } catch (error) {
    throw failedCall(`a tensor ${dtype}[${shape.join(', ')}] on ${device}`, error);
  }
}

/**
 * `fromData` for the inputs of a step: does not wait for a GPU. The bytes are copied to page-locked memory first, so the
 * caller may overwrite `data` at once. Page-locked memory is not given back, so do not use it for weights.
 */
export function uploadData(data: TensorData, device: string): Tensor {
  return made(data, device, false);
}

/**
 * A tensor of the CPU, on the device, without waiting for a GPU. On the CPU, the tensor itself.
 *
 * @example
 * upload(fromArray(Float32Array.of(1, 2), [2]), 'cpu').shape; // [2]
 */
export function upload(tensor: Tensor, device: string): Tensor {
  if (device === 'cpu') return tensor;
  try {
    return new Tensor(native.upload(tensor.handle, device));
  } catch (error) {
    throw failedCall(`${tensor} on ${device}`, error);
  }
}

/**
 * A tensor from a typed array in C order.
 * @throws TorchError if the number of elements does not match the shape
 *
 * @example
 * fromArray(Float32Array.of(1, 2, 3, 4), [2, 2]).toString(); // F32[2, 2]
 */
export function fromArray(
  array: Float32Array | Float64Array | Int32Array | Uint8Array | BigInt64Array,
  shape: readonly number[],
  device = 'cpu',
): Tensor {
  const data = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  return fromData({ dtype: dtypeOfArray(array), shape, data }, device);
}

function dtypeOfArray(array: ArrayBufferView): DType {
  if (array instanceof Float32Array) return 'F32';
  if (array instanceof Float64Array) return 'F64';
  if (array instanceof Int32Array) return 'I32';
  if (array instanceof BigInt64Array) return 'I64';
  return 'U8';
}

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
function dtypeOf(scalarType: number): DType {
  const name = NAMES.get(scalarType);
  if (name === undefined) throw new RangeError(`tensors of c10::ScalarType ${scalarType} are not supported`);
  return name;
}
