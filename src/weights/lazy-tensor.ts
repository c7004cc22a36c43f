import { InputError } from '../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../base/tensor-data.js';
import { allocate } from '../files/file-bytes.js';

/** A tensor whose bytes have not been read from their file yet. */
export interface LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Reads the tensor, on another thread. */
  load(): Promise<TensorData>;
  /** Reads the tensor's bytes into `target`, which has exactly that size. Call `claim` first. */
  loadInto(target: Uint8Array): Promise<void>;
  /** Accounts for a copy of the tensor's bytes. Throws `InputError` once all copies have more bytes than the file. */
  claim(): void;
}

/** Wraps a tensor that is already in memory. */
export function inMemory(tensor: TensorData): LazyTensor {
  const { dtype, shape, data } = tensor;
  const load = async () => tensor;
  return { dtype, shape, load, loadInto: async (target) => target.set(data), claim: () => {} };
}

/** The size of Node's thread pool for files. While its threads read, this thread checks the data. */
const AT_ONCE = 4;

/** Reads all tensors, several at a time. Stops at the first error and throws it. */
export async function loadAll(
  stages: readonly ReadonlyMap<string, LazyTensor>[],
): Promise<Map<string, TensorData>[]> {
  const loaded = new Map<LazyTensor, TensorData>();
  // One queue for all readers; an error in one ends it for all.
  const queue = tensorsOf(stages);
  const readers = Array.from({ length: AT_ONCE }, async () => {
    for (const tensor of queue) loaded.set(tensor, await tensor.load());
  });
  await Promise.all(readers);
  return stages.map(
    (stage) => new Map([...stage].map(([name, tensor]) => [name, loaded.get(tensor) as TensorData])),
  );
}

function* tensorsOf(stages: readonly ReadonlyMap<string, LazyTensor>[]): Generator<LazyTensor> {
  for (const stage of stages) yield* stage.values();
}

/**
 * Concatenates tensors along the first dimension: [a, ...rest], [b, ...rest] -> [a + b, ...rest]. Each is read directly into
 * its place. Throws `InputError` naming `where` unless they have the same dtype and the same other sizes.
 */
export function joinRows(parts: readonly LazyTensor[], where: string): LazyTensor {
  const [{ dtype, shape }] = parts;
  const rest = shape.slice(1);
  for (const part of parts) {
    if (part.shape.length === 0 || part.dtype !== dtype || String(part.shape.slice(1)) !== String(rest)) {
      const each = parts.map((one) => `${one.dtype} [${one.shape}]`).join(', ');
      throw new InputError(`${where}: ${each} cannot be concatenated`);
    }
  }
  const joined = [parts.reduce((rows, part) => rows + part.shape[0], 0), ...rest];
  const loadInto = async (target: Uint8Array) => {
    let at = 0;
    for (const part of parts) {
      const end = at + bytesOf(part);
      await part.loadInto(target.subarray(at, end));
      at = end;
    }
  };
  const claim = () => {
    for (const part of parts) part.claim();
  };
  return {
    dtype,
    shape: joined,
    loadInto,
    claim,
    load: async () => {
      claim();
      const data = allocate(
        parts.reduce((sum, part) => sum + bytesOf(part), 0),
        where,
      );
      await loadInto(data);
      return { dtype, shape: joined, data };
    },
  };
}

/** The inverse of `joinRows` for equal parts: views of the same bytes. */
export function splitRows({ dtype, shape, data }: TensorData, count: number): TensorData[] {
  const bytes = data.length / count;
  const part = [shape[0] / count, ...shape.slice(1)];
  return Array.from({ length: count }, (_, i) => ({
    dtype,
    shape: part,
    data: data.subarray(i * bytes, (i + 1) * bytes),
  }));
}

function bytesOf({ dtype, shape }: LazyTensor): number {
  return elementCount(shape) * dtypeSize(dtype);
}
