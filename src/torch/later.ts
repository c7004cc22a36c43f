import { failedCall } from './errors.js';
import { native } from './native.js';
import { concat, reshape, to } from './ops.js';
import { scope, unwatchHandle, watchHandle } from './scope.js';
import type { Tensor } from './tensor.js';

/** Numbers that a GPU may still be computing. */
interface Later {
  /** The numbers. Waits for the work that was queued before `readLater`, but not for work queued after it. */
  values(): readonly number[];
}

/**
 * Reads tensors of one element each without waiting for a GPU, so that the caller can queue more work first. On the CPU the
 * numbers are there at once.
 *
 * @example
 * const later = readLater([ones([]), zeros([1])]);
 * later.values(); // [1, 0]
 */
export function readLater(tensors: readonly Tensor[]): Later {
  if (tensors.every(({ device }) => device === 'cpu')) {
    const values = tensors.map((tensor) => tensor.item());
    return { values: () => values };
  }
  try {
    return new Reading(scope(() => native.readLater(flat(tensors).handle)));
  } catch (error) {
    throw failedCall(`reading ${tensors.join(', ')}`, error);
  }
}

/** F64 [n], the elements of n tensors. */
export function flat(tensors: readonly Tensor[]): Tensor {
  return concat(
    tensors.map((tensor) => reshape(to(tensor, { dtype: 'F64' }), [1])),
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
