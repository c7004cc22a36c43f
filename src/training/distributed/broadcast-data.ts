import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import { scope } from '../../torch/scope.js';
import { fromData } from '../../torch/tensor.js';
import type { ProcessGroup } from './process-group.js';

type Tensors = ReadonlyMap<string, TensorData>;

/** A tensor without its bytes. */
export type TensorPlace = readonly [name: string, dtype: DType, shape: readonly number[]];

const CHUNK = 2 ** 26;

export function placesOf(tensors: Tensors): TensorPlace[] {
  return [...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]);
}

/**
 * Gives rank 0's bytes to all. All call it, with the same length.
 * @param bytes of rank 0; not read in the others
 */
export function broadcastBytes(
  group: ProcessGroup,
  bytes: Uint8Array | undefined,
  length: number,
): Uint8Array {
  const isSender = group.rank === 0;
  const all = isSender && bytes !== undefined ? bytes : new Uint8Array(length);
  for (let at = 0; at < length; at += CHUNK) {
    const chunk = all.subarray(at, Math.min(at + CHUNK, length));
    scope(() => {
      const tensor = fromData({ dtype: 'U8', shape: [chunk.length], data: chunk }, group.device);
      group.broadcast([tensor], 0);
      if (!isSender) chunk.set(tensor.toData().data);
    });
  }
  return all;
}

/** Gives rank 0's tensors to all, as they are. All call it, with the same places. */
export function broadcastTensors(
  group: ProcessGroup,
  places: readonly TensorPlace[],
  tensors: Tensors | undefined,
): Map<string, TensorData> {
  return new Map(
    places.map(([name, dtype, shape]) => {
      const length = elementCount(shape) * dtypeSize(dtype);
      return [name, { dtype, shape, data: broadcastBytes(group, tensors?.get(name)?.data, length) }];
    }),
  );
}
