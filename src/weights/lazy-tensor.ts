import { InputError } from '../base/errors.js';
import { type DType, dtypeSize, elementCount, type TensorData } from '../base/tensor-data.js';
import { allocate } from '../files/file-bytes.js';

/** A tensor whose bytes are still in a file. */
export interface LazyTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  /** Reads it, on another thread. */
  load(): Promise<TensorData>;
  /** Reads its bytes into `target`, which has exactly their number, and was claimed. */
  loadInto(target: Uint8Array): Promise<void>;
  /** Accounts for a copy of its bytes. Throws `InputError` once copies are more than the file has bytes. */
  claim(): void;
}

/** A tensor that is in memory already. */
export function inMemory(tensor: TensorData): LazyTensor {
  const { dtype, shape, data } = tensor;
  const load = async () => tensor;
  return { dtype, shape, load, loadInto: async (target) => target.set(data), claim: () => {} };
}

/** Node's threads for files. While they read, this one checks what they have read. */
const AT_ONCE = 4;

/** Reads all tensors, some at a time. Throws the first error, and reads no further then. */
export async function loadAll(
  stages: readonly ReadonlyMap<string, LazyTensor>[],
): Promise<Map<string, TensorData>[]> {
  const loaded = new Map<LazyTensor, TensorData>();
  // One row for all; who throws ends it for the others.
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
 * Tensors under one another: [a, ...rest], [b, ...rest] -> [a + b, ...rest], each read straight into its place.
 * Throws `InputError` naming `where` unless they have one dtype and the same further sizes.
 */
export function joinRows(parts: readonly LazyTensor[], where: string): LazyTensor {
  const [{ dtype, shape }] = parts;
  const rest = shape.slice(1);
  for (const part of parts) {
    if (part.shape.length === 0 || part.dtype !== dtype || String(part.shape.slice(1)) !== String(rest)) {
      const each = parts.map((one) => `${one.dtype} [${one.shape}]`).join(', ');
      throw new InputError(`${where}: ${each} cannot be joined to one tensor`);
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
