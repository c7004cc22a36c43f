import { InputError } from '../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../base/tensor-data.js';
import type { PickleObject, PickleValue } from './pickle-values.js';
import { hasKind } from './pickle-values.js';
import { readStored, type StoredEntry } from './torch-file-zip.js';

/** A tensor whose bytes are still in the file. */
export interface TorchTensor extends PickleObject {
  readonly kind: 'tensor';
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Reads it, once. Tensors that share a storage share bytes: do not write to them. */
  load(): TensorData;
}

/** One storage of the file, `elements` of one dtype; several tensors may view it. */
export interface TorchStorage extends PickleObject {
  readonly kind: 'storage';
  readonly dtype: DType;
  readonly elements: number;
  /** All its bytes, read once. */
  bytes(): Uint8Array;
  /** Accounts for a copy of `bytes`, made for a tensor that is no plain slice of its storage. */
  claim(bytes: number): void;
}

interface View {
  readonly offset: number;
  readonly shape: readonly number[];
  /** In elements, as `offset` is. */
  readonly strides: readonly number[];
}

/** torch's own limit. */
export const MAX_DIMENSIONS = 64;

export function isTorchTensor(value: PickleValue | undefined): value is TorchTensor {
  return value !== undefined && hasKind(value, 'tensor');
}

export function isTorchStorage(value: PickleValue | undefined): value is TorchStorage {
  return value !== undefined && hasKind(value, 'storage');
}

/** Throws `InputError` unless the entry has exactly the bytes that the storage claims. */
export function storageOf(
  entry: StoredEntry,
  dtype: DType,
  elements: number,
  claim: (bytes: number) => void,
): TorchStorage {
  if (!Number.isSafeInteger(elements) || elements * dtypeSize(dtype) !== entry.bytes) {
    throw new InputError(
      `${entry.path}: storage ${entry.name} should hold ${elements} of ${dtype}, but has ${entry.bytes} bytes`,
    );
  }
  let bytes: Uint8Array | undefined;
  return {
    kind: 'storage',
    dtype,
    elements,
    claim,
    bytes: () => {
      bytes ??= readStored(entry);
      return bytes;
    },
  };
}

/**
 * A tensor on a storage. Throws `InputError` where the view leaves the storage, or has more elements
 * than it (an expanded tensor: a few bytes that would ask for any amount of memory).
 */
export function tensorOn(storage: TorchStorage, view: View, source: string): TorchTensor {
  const { dtype, elements } = storage;
  const problem = problemOf(view, elements);
  if (problem !== undefined)
    throw new InputError(`${source}: a ${dtype} tensor of shape [${view.shape}] ${problem}`);
  let loaded: TensorData | undefined;
  return {
    kind: 'tensor',
    dtype,
    shape: view.shape,
    load: () => {
      loaded ??= { dtype, shape: view.shape, data: materialise(storage, view) };
      return loaded;
    },
  };
}

function problemOf({ offset, shape, strides }: View, elements: number): string | undefined {
  const wholeFrom0 = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (shape.length !== strides.length) return `has ${strides.length} strides`;
  if (![offset, ...shape, ...strides].every(wholeFrom0)) return 'has an offset, size or stride below 0';
  const count = elementCount(shape);
  if (count === 0) return undefined;
  if (count > elements) return `has more elements than its storage of ${elements}`;
  const last = shape.reduce((at, size, axis) => at + (size - 1) * strides[axis], offset);
  return last < elements ? undefined : `ends at element ${last} of a storage of ${elements}`;
}

function materialise(storage: TorchStorage, view: View): Uint8Array {
  const size = dtypeSize(storage.dtype);
  const count = elementCount(view.shape);
  if (count === 0) return new Uint8Array();
  const bytes = storage.bytes();
  if (isContiguous(view)) return bytes.subarray(view.offset * size, (view.offset + count) * size);
  storage.claim(count * size);
  const target = new Uint8Array(count * size);
  copyStrided(words(bytes, size), words(target, size), view);
  return target;
}

function isContiguous({ shape, strides }: View): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/** Bytes as elements that can be copied whole; readAt's allocations are aligned for each. */
function words(bytes: Uint8Array, size: number): Uint8Array | Uint16Array | Uint32Array | BigUint64Array {
  const { buffer, byteOffset } = bytes;
  const length = bytes.length / size;
  if (size === 1) return bytes;
  if (size === 2) return new Uint16Array(buffer, byteOffset, length);
  return size === 4
    ? new Uint32Array(buffer, byteOffset, length)
    : new BigUint64Array(buffer, byteOffset, length);
}

/** Copies in C order, counting the index up like an odometer. */
function copyStrided(
  from: ArrayLike<number | bigint>,
  to: { [index: number]: number | bigint; readonly length: number },
  { offset, shape, strides }: View,
): void {
  const index = shape.map(() => 0);
  let at = offset;
  for (let i = 0; i < to.length; i++) {
    to[i] = from[at];
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= shape[axis] * strides[axis];
      index[axis] = 0;
    }
  }
}
