import { RunError } from '../../base/errors.js';
import type { TensorData } from '../../base/tensor-data.js';
import type { StageTensors } from '../../weights/layout/model-file-stages.js';

/** Exponent bits in 16-bit and 32-bit words. They are all set in infinities and NaN. */
const EXPONENT = { F16: 0x7c00, BF16: 0x7f80, F32: 0x7f800000 } as const;

/**
 * Checks that all weights are finite.
 * @throws RunError naming the first tensor that contains NaN or an infinity
 */
export function requireFinite(stages: readonly StageTensors<TensorData>[], source: string): void {
  for (const [index, stage] of stages.entries()) {
    for (const [name, tensor] of stage) {
      const at = firstNonFinite(tensor);
      if (at < 0) continue;
      throw new RunError(
        `${source}: the tensor ${nameIn(stages, index, name)} is not finite (NaN or infinity, first at element ${at})`,
        {
          hint: 'the training diverged: use an earlier checkpoint',
        },
      );
    }
  }
}

/** The largest magnitude in float32 and float64 tensors, and its tensor's name; undefined if no element is above zero. */
export function largestWeight(
  stages: readonly StageTensors<TensorData>[],
): { readonly name: string; readonly value: number } | undefined {
  let largest: { name: string; value: number } | undefined;
  for (const [index, stage] of stages.entries()) {
    for (const [name, tensor] of stage) {
      const value = magnitudeOf(tensor);
      if (value > (largest?.value ?? 0)) largest = { name: nameIn(stages, index, name), value };
    }
  }
  return largest;
}

function nameIn(stages: readonly unknown[], index: number, name: string): string {
  return stages.length === 1 ? name : `stages.${index}.${name}`;
}

function magnitudeOf({ dtype, data }: TensorData): number {
  if (dtype !== 'F32' && dtype !== 'F64') return 0;
  const values = dtype === 'F32' ? words(data, 4, Float32Array) : words(data, 8, Float64Array);
  let most = 0;
  for (const value of values) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}

/** Index of a tensor's first element that is NaN or an infinity; -1 if there is none. */
function firstNonFinite({ dtype, data }: TensorData): number {
  switch (dtype) {
    case 'F16':
    case 'BF16':
      return firstWithBits(words(data, 2, Uint16Array), EXPONENT[dtype]);
    case 'F32':
      return firstWithBits(words(data, 4, Uint32Array), EXPONENT.F32);
    case 'F64':
      return words(data, 8, Float64Array).findIndex((value) => !Number.isFinite(value));
    default:
      return -1;
  }
}

function firstWithBits(values: Uint16Array | Uint32Array, bits: number): number {
  for (let i = 0; i < values.length; i++) if ((values[i] & bits) === bits) return i;
  return -1;
}

interface Words<T> {
  new (buffer: ArrayBufferLike, offset: number, length: number): T;
}

/** Views bytes as words; copies them if they are not aligned. */
function words<T>(data: Uint8Array, size: number, type: Words<T>): T {
  const { buffer, byteOffset } = data.byteOffset % size === 0 ? data : data.slice();
  return new type(buffer, byteOffset, data.length / size);
}
