import { errorText, InputError } from '../../base/errors.js';
import { noGrad } from '../../torch/autograd.js';
import { type Collective, collectives, joinCollective, type Reducer } from '../../torch/collective.js';
import { TorchError } from '../../torch/errors.js';
import { operator } from '../../torch/operator.js';
import type { Tensor } from '../../torch/tensor.js';
import { LostRank } from './lost-rank.js';
import { type Rank, rankIn, timeoutIn } from './rank.js';

/**
 * The processes that train together. All call the same methods in the same order, with tensors of the same shapes
 * on `device`; a call waits for the others, and the event loop with it.
 * A process that is lost, or silent for longer than the timeout, ends the call with a LostRank in every other.
 */
export interface ProcessGroup {
  readonly rank: number;
  readonly size: number;
  readonly localRank: number;
  readonly device: string;
  /** Sums or averages over the processes, in place. The tensors share a dtype. */
  allReduce(tensors: readonly Tensor[], how: 'sum' | 'mean'): void;
  /** Overwrites the tensors with those of rank `from`. */
  broadcast(tensors: readonly Tensor[], from: number): void;
  /** Returns once every process has called it. */
  barrier(): void;
  /** Averages gradients during the backward pass: what `dataParallel` is made of. */
  reducer(parameters: readonly Tensor[], bucketBytes: number, firstBucketBytes: number): Reducer;
  /** Runs `work`, in which processes wait for one another: that libtorch failed in it is a LostRank that names this one. */
  together<T>(work: () => T): T;
  /** Idempotent. Call `barrier` first, where all are well. */
  close(): void;
}

export interface JoinOptions {
  /** `cpu`: Gloo. `cuda:<n>`: NCCL. */
  readonly device: string;
  /** How long to wait for the others, to come or to answer. Default `timeoutIn`: 600. */
  readonly timeoutSeconds?: number;
  /** Told apart from other groups of the same launch, one after another: the phase, say. Default `ranks`. */
  readonly name?: string;
}

const divide = operator<undefined>('aten::_foreach_div_', 'Scalar');

/**
 * Joins the processes that a launcher started (see `rankIn`), and waits for all of them; undefined where this process
 * trains alone. Machines with several networks: GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME choose.
 * @throws InputError for an environment that makes no sense, or where the addon lacks the device's library
 * @throws LostRank when the others do not come in time
 */
export function joinGroup(env: NodeJS.ProcessEnv, options: JoinOptions): ProcessGroup | undefined {
  const place = rankIn(env);
  if (place === undefined) return undefined;
  const { device, timeoutSeconds = timeoutIn(env), name = 'ranks' } = options;
  assertLibrary(device);
  const { rank, size, localRank } = place;
  const collective = join(place, { device, timeoutSeconds, name });
  const together = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      if (!(error instanceof TorchError)) throw error;
      throw new LostRank(`rank ${rank} of ${size}: ${reasonOf(error)}`, {
        hint: `the rank that failed first says why; start all ${size} again, training goes on from the last checkpoint`,
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
    barrier: () => together(collective.barrier),
    reducer: (...args) => together(() => collective.reducer(...args)),
    close: collective.free,
  };
}

function assertLibrary(device: string): void {
  const needed = device.startsWith('cuda') ? 'nccl' : 'gloo';
  if (collectives().includes(needed)) return;
  const what = needed === 'nccl' ? "NCCL, or without CUDA's headers" : 'c10d';
  throw new InputError(`several processes on ${device}: the addon was built without ${what}`, {
    hint: "with NCCL's headers beside libtorch and a CUDA toolkit (CUDA_HOME) in place, run `npx deep-incubation setup` again",
  });
}

function join(place: Rank, { device, timeoutSeconds, name }: Required<JoinOptions>): Collective {
  const { rank, size, host, port } = place;
  try {
    const collective = joinCollective({ ...place, name, device, timeoutMs: timeoutSeconds * 1000 });
    // The store closes with the process that opened it: not before all have read from it.
    collective.barrier();
    return collective;
  } catch (error) {
    throw new LostRank(
      `rank ${rank} of ${size} did not meet the others at ${host}:${port}: ${reasonOf(error)}`,
      {
        hint: `start all ${size} within ${timeoutSeconds} s, with one MASTER_ADDR and one free MASTER_PORT that all machines reach`,
        cause: error,
      },
    );
  }
}

/** What libtorch says, less the places in its source and its general advice. */
function reasonOf(error: unknown): string {
  return errorText(error)
    .replace(/\[[^\]\s]*:\d+\] /g, '')
    .replace(/\. This is typically .*$/s, '');
}
