import { failedCall } from './errors.js';
import { type Handle, native } from './native.js';
import type { Tensor } from './tensor.js';

// libtorch's c10d: what processes that train together do in common. Every process calls the same in the same order;
// a call waits for the others (on a GPU: the device's stream does). All throw TorchError, also when another process is
// lost or does not answer within the group's timeout; the group is of no use then.

/** Where and as what a process joins. */
export interface CollectiveAddress {
  /** Of the group: a store that outlives a group keeps the keys of each apart. */
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Whether this process opens the store at `host:port`, rather than another. */
  readonly serves: boolean;
  readonly rank: number;
  readonly size: number;
  readonly timeoutMs: number;
  /** The tensors' device: `cpu` (Gloo) or `cuda:<n>` (NCCL). */
  readonly device: string;
}

export interface Collective {
  /** Sums over the processes, in place. The tensors share a dtype; shapes are the same in every process. */
  allReduce(tensors: readonly Tensor[]): void;
  /** Overwrites the tensors with those of the process `from`. */
  broadcast(tensors: readonly Tensor[], from: number): void;
  /** Returns once every process has called it. */
  barrier(): void;
  /** Averages these parameters' gradients during the backward pass; in buckets of about so many bytes. */
  reducer(parameters: readonly Tensor[], bucketBytes: number, firstBucketBytes: number): Reducer;
  free(): void;
}

/** c10d's Reducer: lives until `free()`. */
export interface Reducer {
  /** The next backward pass reduces; others add to the gradients of this process alone. */
  prepare(): void;
  /** @throws TorchError when that pass left a parameter without a gradient: its bucket was not reduced */
  check(): void;
  free(): void;
}

/** The libraries this addon can join processes with. */
export function collectives(): ('gloo' | 'nccl')[] {
  return native.collectives();
}

/** Joins the others, and waits for them. The group lives until `free()`. */
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

/** Starts something and waits for its end. */
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
      if (isFreed) throw new Error('the process group was closed before');
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
