import { elementCount } from '../base/tensor-data.js';
import { failedCall } from './errors.js';
import { native } from './native.js';
import { concat, reshape, to } from './ops.js';
import { scope, unwatchHandle, watchHandle } from './scope.js';
import type { Tensor } from './tensor.js';

/** Numbers that a GPU may still be computing. */
export interface Later {
  /** The numbers. Waits for the work that was queued before `readLater`, but not for work queued after it. */
  values(): readonly number[];
}

/**
 * Reads the elements of tensors, as F64, without waiting for a GPU, so that the caller can queue more work first. On the CPU
 * the numbers are read immediately.
 *
 * @example
 * const later = readLater([ones([]), zeros([2])]);
 * later.values(); // [1, 0, 0]
 */
export function readLater(tensors: readonly Tensor[]): Later {
  if (tensors.every(({ device }) => device === 'cpu')) {
    const values = tensors.flatMap((tensor) => elements(tensor));
    return { values: () => values };
  }
  try {
    return new Reading(scope(() => native.readLater(flat(tensors).handle)));
  } catch (error) {
    throw failedCall(`reading ${tensors.join(', ')}`, error);
  }
}

function elements(tensor: Tensor): number[] {
  if (elementCount(tensor.shape) === 1) return [tensor.item()];
  return Array.from(scope(() => to(tensor, { dtype: 'F64' }).toFloat64Array()));
}

/** F64 [n], the elements of all tensors. */
export function flat(tensors: readonly Tensor[]): Tensor {
  return concat(
    tensors.map((tensor) => reshape(to(tensor, { dtype: 'F64' }), [-1])),
    0,
  );
}

/** Native memory is released once the values are read, or some time after the last reference is gone. */
class Reading implements Later {
  #values: readonly number[] | undefined;

  constructor(readonly handle: number) {
    watchHandle(this);
  }

  values(): readonly number[] {
    if (this.#values !== undefined) return this.#values;
    try {
      this.#values = native.laterValues(this.handle);
    } catch (error) {
      throw failedCall('reading numbers of the GPU', error);
    }
    unwatchHandle(this);
    native.release([this.handle]);
    return this.#values;
  }
}
