import { failedCall } from './errors.js';
import { type Handle, native } from './native.js';
import type { Tensor } from './tensor.js';

// Collective operations of processes that train together (libtorch's c10d). Every process makes the same calls in the same
// order; a call waits for the other processes (on a GPU, the device's stream waits). All throw TorchError, also if another
// process is lost or does not answer within the group's timeout; the group is unusable after that.

/** Address of a process group, and this process's place in it. */
interface CollectiveAddress {
  /** Name of the group. A store that outlives a group keeps each group's keys separate. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Whether this process opens the store at `host:port`; exactly one does. */
  readonly serves: boolean;
  readonly rank: number;
  readonly size: number;
  readonly timeoutMs: number;
  /** The tensors' device: `cpu` (Gloo) or `cuda:<n>` (NCCL). */
  readonly device: string;
}

export interface Collective {
  /** Sums over all processes, in place. The tensors share a dtype; shapes are the same in every process. */
  allReduce(tensors: readonly Tensor[]): void;
  /** Overwrites the tensors with those of the process `from`. */
  broadcast(tensors: readonly Tensor[], from: number): void;
  /** Returns once every process has called it. */
  barrier(): void;
  /** Averages these parameters' gradients during the backward pass, in buckets of about `bucketBytes`. */
  reducer(parameters: readonly Tensor[], bucketBytes: number, firstBucketBytes: number): Reducer;
  free(): void;
}

/** c10d's Reducer. It lives until `free()`. */
export interface Reducer {
  /** Makes the next backward pass reduce gradients. Passes without it only add to the gradients of this process. */
  prepare(): void;
  /** @throws TorchError if that pass left a parameter without a gradient, so that its bucket was not reduced */
  check(): void;
  free(): void;
}

/** Communication libraries in this build of the addon. */
export function collectives(): ('gloo' | 'nccl')[] {
  return native.collectives();
}

/** Joins a process group, and waits for the other processes. The group lives until `free()`. */
export function joinCollective(address: CollectiveAddress): Collective {
  const { name, host, port, serves, rank, size, timeoutMs, device } = address;
  const group = held('joining', () =>
    native.joinGroup(name, host, port, serves, rank, size, timeoutMs, device),
  );
  return {
    allReduce: (tensors) => finish('all-reduce', () => native.allReduce(group.handle, handlesOf(tensors))),
    broadcast: (tensors, from) =>
      call('broadcast', () => native.broadcast(group.handle, handlesOf(tensors), from)),
    barrier: () => finish('barrier', () => native.barrier(group.handle)),
    reducer(parameters, bucketBytes, firstBucketBytes) {
      const reducer = held('reducer', () =>
        native.reducer(group.handle, handlesOf(parameters), bucketBytes, firstBucketBytes),
      );
      return {
        prepare: () => call('reducer', () => native.prepareReducer(reducer.handle)),
        check: () => call('reducer', () => native.checkReduced(reducer.handle)),
        free: reducer.free,
      };
    },
    free: group.free,
  };
}

function handlesOf(tensors: readonly Tensor[]): Handle[] {
  return tensors.map((tensor) => tensor.handle);
}

/** Starts an operation and waits until it is finished. */
function finish(what: string, start: () => Handle): void {
  const work = held(what, start);
  try {
    call(what, () => native.waitWork(work.handle));
  } finally {
    work.free();
  }
}

function held(what: string, make: () => Handle): { readonly handle: Handle; free(): void } {
  const handle = call(what, make);
  let isFreed = false;
  return {
    get handle() {
      if (isFreed) throw new Error('the process group is closed');
      return handle;
    },
    free() {
      if (!isFreed) native.release([handle]);
      isFreed = true;
    },
  };
}

function call<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw failedCall(what, error);
  }
}
