import { RunError } from '../../base/errors.js';
import { noGrad } from '../../torch/autograd.js';
import { TorchError } from '../../torch/errors.js';
import type { Tensor } from '../../torch/tensor.js';
import type { ProcessGroup } from './process-group.js';

export interface DataParallelOptions {
  /** The model's buffers, in the same order in every process. They stay rank 0's. */
  readonly buffers?: readonly (readonly [name: string, buffer: Tensor])[];
  /** Gradients are reduced in buckets of about this many bytes. Default 25 MiB, as in PyTorch. */
  readonly bucketBytes?: number;
  /** The bucket that is ready first. Default 1 MiB. */
  readonly firstBucketBytes?: number;
}

/** Copies of a model in several processes, kept the same. It lives until `free()`. */
export interface DataParallel {
  readonly group: ProcessGroup;
  /**
   * Runs the backward pass of the step's last micro-batch. As soon as gradients are there they are averaged over the
   * processes, with what the backward passes before, outside `reduce`, added to them: once a step. After it they are
   * the same in every process, until they are cleared. Every process calls it as often as the others.
   * @throws RunError when another process is lost or too late, or when the pass leaves a parameter without a gradient
   */
  reduce<T>(backward: () => T): T;
  /**
   * Gives every process rank 0's buffers, such as running statistics: after each step, so that all evaluate, and save,
   * the same model. Every process calls it as often as the others.
   */
  shareBuffers(): void;
  free(): void;
}

const MIB = 2 ** 20;

/**
 * Data parallel training by c10d's Reducer, as PyTorch's DistributedDataParallel (Li et al. 2020, arXiv 2006.15704):
 * every process starts from rank 0's parameters, does its own micro-batches, and steps with the mean of all
 * processes' gradients. With losses that are means over micro-batches of one size, and backward passes weighted by
 * 1 / (micro-batches of a process), that is one process at the same effective batch, to the rounding of sums.
 * Batch norm normalises each process's micro-batches by themselves; its running statistics are rank 0's, as in PyTorch.
 *
 * @param parameters all that change, in the same order in every process
 * @throws RunError when the parameters' number or shapes differ between processes
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
            hint: 'every parameter that trains must have its part in every micro-batch: freeze the others',
            cause: error,
          },
        );
      }
      return result;
    },
    free: reducer.free,
  };
}
