import { errorText, InputError } from '../../base/errors.js';
import { noGrad } from '../../torch/autograd.js';
import { type Collective, collectives, joinCollective, type Reducer } from '../../torch/collective.js';
import { TorchError } from '../../torch/errors.js';
import { operator } from '../../torch/operator.js';
import { scope } from '../../torch/scope.js';
import { fromArray, type Tensor } from '../../torch/tensor.js';
import { LostRank, type Rank, rankIn, timeoutIn } from './rank.js';

/**
 * The processes that train together. All call the same methods in the same order, with tensors of the same shapes on
 * `device`. A call waits for all processes and blocks the event loop. If a process is lost, or silent for longer than the
 * timeout, the call throws a LostRank in all other processes.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly localRank: number;
  readonly device: string;
  /** Sums or averages over the processes, in place. All tensors have the same dtype. */
  allReduce(tensors: readonly Tensor[], how: 'sum' | 'mean'): void;
  /** Overwrites the tensors with those of rank `from`. */
  broadcast(tensors: readonly Tensor[], from: number): void;
  /**
   * Sums numbers over the processes, or copies those of rank 0. They stay in the host's memory and travel by Gloo, so the call
   * waits for the other processes but never for a GPU.
   */
  exchange(numbers: readonly number[], how: 'sum' | 'broadcast'): number[];
  /** Returns once every process has called it. */
  barrier(): void;
  /** Averages gradients during the backward pass; used by `dataParallel`. */
  reducer(parameters: readonly Tensor[], bucketBytes: number, firstBucketBytes: number): Reducer;
  /** Runs `work`, in which processes wait for each other. A libtorch error becomes a LostRank that names this rank. */
  together<T>(work: () => T): T;
  /** Idempotent. Call `barrier` first if no process has failed. */
  close(): void;
}

interface JoinOptions {
  /** `cpu`: Gloo. `cuda:<n>`: NCCL. */
  readonly device: string;
  /** How long to wait for other processes to join or to respond. Default: from `timeoutIn`, 600 unless set. */
  readonly timeoutSeconds?: number;
  /** Distinguishes this group from earlier and later ones of the same launch, e.g. the phase. Default `ranks`. */
  readonly name?: string;
}

const divide = operator<undefined>('aten::_foreach_div_', 'Scalar');

/**
 * Joins the processes that a launcher started (see `rankIn`), and waits for all of them. Returns undefined if this process
 * trains by itself. On machines with several networks, GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME select one.
 * @throws InputError if the environment is invalid, or the addon lacks the device's library
 * @throws LostRank if the other processes do not join in time
 */
export function joinGroup(env: NodeJS.ProcessEnv, options: JoinOptions): ProcessGroup | undefined {
  const place = rankIn(env);
  if (place === undefined) return undefined;
  const { device, timeoutSeconds = timeoutIn(env), name = 'ranks' } = options;
  assertLibrary(device);
  const { rank, size, localRank } = place;
  const collective = join(place, { device, timeoutSeconds, name });
  // Rank 0 already serves the store.
  const host = join({ ...place, serves: false }, { device: 'cpu', timeoutSeconds, name: `${name}.host` });
  const together = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof TorchError)) throw error;
      throw new LostRank(`rank ${rank} of ${size}: ${reasonOf(error)}`, {
        hint: `the rank that failed first prints the cause; start all ${size} again to resume from the last checkpoint`,
        cause: error,
      });
    }
  };
  return {
    rank,
    size,
    localRank,
    device,
    together,
    allReduce(tensors, how) {
      if (tensors.length === 0) return;
      together(() => collective.allReduce(tensors));
      if (how === 'mean') noGrad(() => divide(tensors, size));
    },
    broadcast(tensors, from) {
      if (tensors.length > 0) together(() => collective.broadcast(tensors, from));
    },
    exchange: (numbers, how) =>
      scope(() => {
        const tensor = fromArray(Float64Array.from(numbers), [numbers.length]);
        together(() => (how === 'sum' ? host.allReduce([tensor]) : host.broadcast([tensor], 0)));
        const { data } = tensor.toData();
        return Array.from(new Float64Array(data.buffer, data.byteOffset, numbers.length));
      }),
    barrier: () => together(collective.barrier),
    reducer: (...args) => together(() => collective.reducer(...args)),
    close: () => {
      host.free();
      collective.free();
    },
  };
}

function assertLibrary(device: string): void {
  const needed = device.startsWith('cuda') ? 'nccl' : 'gloo';
  if (collectives().includes(needed)) return;
  const what = needed === 'nccl' ? 'NCCL or the CUDA headers' : 'c10d';
  throw new InputError(`several processes on ${device}: the addon was built without ${what}`, {
    hint: "install NCCL's headers and a CUDA toolkit (CUDA_HOME), then run `npx deep-incubation setup` again",
  });
}

function join(place: Rank, { device, timeoutSeconds, name }: Required<JoinOptions>): Collective {
  const { rank, size, host, port } = place;
  try {
    const collective = joinCollective({ ...place, name, device, timeoutMs: timeoutSeconds * 1000 });
    // The store closes with the process that opened it, so all processes must have read from it first.
    collective.barrier();
    return collective;
  } catch (error) {
    throw new LostRank(
      `rank ${rank} of ${size} could not connect to the others at ${host}:${port}: ${reasonOf(error)}`,
      {
        hint: `start all ${size} within ${timeoutSeconds} s, with the same MASTER_ADDR and a free MASTER_PORT that all machines can reach`,
        cause: error,
      },
    );
  }
}

/** libtorch's message without source locations and general advice. */
function reasonOf(error: unknown): string {
  return errorText(error)
    .replace(/\[[^\]\s]*:\d+\] /g, '')
    .replace(/\. This is typically .*$/s, '');
}
