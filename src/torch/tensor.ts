import { type DType, dtypeSize, elementCount, type TensorData } from '../base/tensor-data.js';
import { dtypeOf, scalarType } from './dtype.js';
import { FreedTensorError } from './errors.js';
import { type Handle, native } from './native.js';
import { own, type Owned, unwatch } from './scope.js';

const FREED = -1;

/**
 * A tensor of libtorch. It is freed by the end of the `scope` it was made in, by `free()`, or, as a net
 * below these, some time after the last reference is gone.
 */
export class Tensor implements Owned {
  #handle: Handle;
  #shape: readonly number[] | undefined;

  /** Takes the handle over. */
  constructor(handle: Handle) {
    this.#handle = handle;
    own(this);
  }

  /** @throws FreedTensorError */
  get handle(): Handle {
    if (this.#handle === FREED) {
      const what = this.#shape === undefined ? '' : ` (shape [${this.#shape.join(', ')}])`;
      throw new FreedTensorError(`a tensor${what} was used after it was freed`, {
        hint: 'return it from its scope, or keep(tensor), to use it later',
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

  set requiresGrad(flag: boolean) {
    native.setRequiresGrad(this.handle, flag);
  }

  /** The gradient accumulated by `backward`, a new reference to it, or null. */
  get grad(): Tensor | null {
    const handle = native.grad(this.handle);
    return handle === null ? null : new Tensor(handle);
  }

  /** The value of a tensor of one element; waits for the device. */
  item(): number {
    return native.item(this.handle);
  }

  /** The elements in C order, copied. */
  toData(): TensorData {
    const data = new Uint8Array(elementCount(this.shape) * dtypeSize(this.dtype));
    native.toBytes(this.handle, data);
    return { dtype: this.dtype, shape: this.shape, data };
  }

  /** The elements of an F32 tensor in C order, copied. */
  toFloat32Array(): Float32Array {
    const { dtype, data } = this.toData();
    if (dtype !== 'F32') throw new TypeError(`the tensor is ${dtype}, not F32`);
    return new Float32Array(data.buffer);
  }

  /** The elements of an F64 tensor in C order, copied. */
  toFloat64Array(): Float64Array {
    const { dtype, data } = this.toData();
    if (dtype !== 'F64') throw new TypeError(`the tensor is ${dtype}, not F64`);
    return new Float64Array(data.buffer);
  }

  /** Frees the memory, unless libtorch itself (the autograd graph, a view) still refers to it. Idempotent. */
  free(): void {
    if (this.#handle === FREED) return;
    unwatch(this);
    native.release([this.takeHandle()]);
  }

  /** For `scope`: the handle, to be released by the caller. */
  takeHandle(): Handle {
    const handle = this.handle;
    this.#handle = FREED;
    return handle;
  }

  toString(): string {
    return this.isFreed ? 'freed tensor' : `${this.dtype}[${this.shape.join(', ')}]`;
  }
}

/** A tensor with the bytes of `data`, copied once. */
export function fromData(data: TensorData, device = 'cpu'): Tensor {
  return new Tensor(native.fromBytes(data.data, scalarType(data.dtype), data.shape, device));
}

/**
 * A tensor from a typed array in C order.
 * @throws TorchError when the array has not as many elements as the shape
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
