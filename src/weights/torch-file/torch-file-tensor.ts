import { InputError } from '../../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import type { LazyTensor } from '../lazy-tensor.js';
import { hasKind, type PickleObject, type PickleValue } from './pickle-values.js';
import { readStored, readStoredInto, type StoredEntry } from './torch-zip.js';

/** A tensor in the file. Loaded tensors that share a storage share bytes: do not write to them. */
export interface TorchTensor extends PickleObject, LazyTensor {
  readonly kind: 'tensor';
}

/** One storage in the file, with `elements` elements of one dtype; several tensors may view it. */
export interface TorchStorage extends PickleObject {
  readonly kind: 'storage';
  readonly dtype: DType;
  readonly elements: number;
  /** All bytes of the storage, read only once. */
  bytes(): Promise<Uint8Array>;
  /** Reads all bytes of the storage into `target`. */
  readInto(target: Uint8Array): Promise<void>;
  /** Accounts for a copy of `bytes` bytes, for a tensor that is not a contiguous slice of its storage. */
  claim(bytes: number): void;
}

interface View {
  readonly offset: number;
  readonly shape: readonly number[];
  /** In elements, like `offset`. */
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

/** Creates a storage. Throws `InputError` unless the entry has exactly the storage's size. */
export function storageOf(
  entry: StoredEntry,
  dtype: DType,
  elements: number,
  claim: (bytes: number) => void,
): TorchStorage {
  if (!Number.isSafeInteger(elements) || elements * dtypeSize(dtype) !== entry.bytes) {
    throw new InputError(
      `${entry.path}: storage ${entry.name} should contain ${elements} elements of ${dtype}, but has ${entry.bytes} bytes`,
    );
  }
  let bytes: Promise<Uint8Array> | undefined;
  return {
    kind: 'storage',
    dtype,
    elements,
    claim,
    bytes: () => {
      bytes ??= readStored(entry);
      return bytes;
    },
    readInto: async (target) => {
      if (bytes === undefined) await readStoredInto(entry, target);
      else target.set(await bytes);
    },
  };
}

/**
 * A tensor on a storage. Throws `InputError` if the view exceeds the storage, or has more elements
 * than it (an expanded tensor, of which a few bytes could require any amount of memory).
 */
export function tensorOn(storage: TorchStorage, view: View, source: string): TorchTensor {
  const { dtype, elements } = storage;
  const problem = problemOf(view, elements);
  if (problem !== undefined)
    throw new InputError(`${source}: a ${dtype} tensor of shape [${view.shape}] ${problem}`);
  let loaded: Promise<TensorData> | undefined;
  const load = () => {
    loaded ??= materialise(storage, view).then((data) => ({ dtype, shape: view.shape, data }));
    return loaded;
  };
  return {
    kind: 'tensor',
    dtype,
    shape: view.shape,
    load,
    loadInto: (target) => fill(target, storage, view),
    claim: () => storage.claim(elementCount(view.shape) * dtypeSize(dtype)),
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

async function materialise(storage: TorchStorage, view: View): Promise<Uint8Array> {
  const size = dtypeSize(storage.dtype);
  const count = elementCount(view.shape);
  if (count === 0) return new Uint8Array();
  if (isContiguous(view)) {
    const bytes = await storage.bytes();
    return bytes.subarray(view.offset * size, (view.offset + count) * size);
  }
  storage.claim(count * size);
  const target = new Uint8Array(count * size);
  await fill(target, storage, view);
  return target;
}

/** Writes a view's elements into `target`; a view of a whole storage needs no intermediate copy. */
async function fill(target: Uint8Array, storage: TorchStorage, view: View): Promise<void> {
  const size = dtypeSize(storage.dtype);
  if (target.length === 0) return;
  if (!isContiguous(view)) copyStrided(words(await storage.bytes(), size), words(target, size), view);
  else if (target.length === storage.elements * size) await storage.readInto(target);
  else {
    const start = view.offset * size;
    target.set((await storage.bytes()).subarray(start, start + target.length));
  }
}

function isContiguous({ shape, strides }: View): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/** Views bytes as elements of `size` bytes; the buffers are aligned for all sizes. */
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
