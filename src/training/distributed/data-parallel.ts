import { RunError } from '../../base/errors.js';
import { noGrad } from '../../torch/autograd.js';
import { TorchError } from '../../torch/errors.js';
import type { Tensor } from '../../torch/tensor.js';
import type { ProcessGroup } from './process-group.js';

interface DataParallelOptions {
  /** The model's buffers, in the same order in every process. Rank 0's values are used in all of them. */
  readonly buffers?: readonly (readonly [name: string, buffer: Tensor])[];
  /** Gradients are reduced in buckets of about this many bytes. Default 25 MiB, as in PyTorch. */
  readonly bucketBytes?: number;
  /** Size of the bucket that is ready first. Default 1 MiB. */
  readonly firstBucketBytes?: number;
}

/** Keeps the copies of a model in several processes the same. It lives until `free()`. */
export interface DataParallel {
  readonly group: ProcessGroup;
  /**
   * Runs the backward pass of the step's last micro-batch, once per step. Gradients are averaged over the processes as soon
   * as they are complete, including what earlier backward passes, outside `reduce`, added to them. Afterwards they are the
   * same in every process until they are cleared. All processes must call it the same number of times.
   * @throws RunError if another process is lost or too late, or if the pass leaves a parameter without a gradient
   */
  reduce<T>(backward: () => T): T;
  /**
   * Sends rank 0's buffers, such as running statistics, to every process. Call it after each step, so that all processes
   * evaluate and save the same model. All processes must call it the same number of times.
   */
  shareBuffers(): void;
  free(): void;
}

const MIB = 2 ** 20;

/**
 * Data-parallel training with c10d's Reducer, like PyTorch's DistributedDataParallel (Li et al. 2020, arXiv 2006.15704).
 * Every process starts from rank 0's parameters, computes its own micro-batches, and steps with the mean of all processes'
 * gradients. If losses are means over micro-batches of one size, and backward passes are weighted by
 * 1 / (micro-batches per process), the result equals that of one process with the same effective batch, up to rounding.
 * Batch norm normalises each process's micro-batches separately; its running statistics are rank 0's, as in PyTorch.
 *
 * @param parameters all parameters that are trained, in the same order in every process
 * @throws RunError if the number or shapes of the parameters differ between processes
 */
export function dataParallel(
  parameters: readonly (readonly [name: string, parameter: Tensor])[],
  group: ProcessGroup,
  { bucketBytes = 25 * MIB, firstBucketBytes = MIB, buffers = [] }: DataParallelOptions = {},
): DataParallel {
  const tensors = parameters.map(([, parameter]) => parameter);
  const shareBuffers = () =>
    noGrad(() =>
      group.broadcast(
        buffers.map(([, buffer]) => buffer),
        0,
      ),
    );
  const reducer = group.reducer(tensors, bucketBytes, firstBucketBytes);
  group.broadcast(tensors, 0);
  shareBuffers();
  return {
    group,
    shareBuffers,
    reduce(backward) {
      const result = group.together(() => {
        reducer.prepare();
        return backward();
      });
      try {
        reducer.check();
      } catch (error) {
        if (!(error instanceof TorchError)) throw error;
        const name = parameters.find(([, parameter]) => parameter.grad === null)?.[0] ?? 'a parameter';
        throw new RunError(
          `${name} has no gradient: the loss of the last micro-batch does not depend on it`,
          {
            hint: 'every trained parameter must contribute to the loss of every micro-batch: freeze the others',
            cause: error,
          },
        );
      }
      return result;
    },
    free: reducer.free,
  };
}
