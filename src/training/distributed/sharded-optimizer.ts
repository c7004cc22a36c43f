import { type DType, elementCount, type TensorData } from '../../base/tensor-data.js';
import { zeros } from '../../torch/ops.js';
import { scope } from '../../torch/scope.js';
import { fromArray, fromData, type Tensor } from '../../torch/tensor.js';
import type { Optimizer, ParameterGroup } from '../optimizers/optimizer.js';
import type { ProcessGroup } from './process-group.js';

type Named = readonly [name: string, parameter: Tensor];

/**
 * An optimiser whose state is split over the processes that train together (ZeRO-1, Rajbhandari et al. 2020,
 * arXiv 1910.02054). Each process keeps the state of its share of the parameters, updates these parameters, and sends them to
 * all other processes. It requires gradients that are the same in every process (`dataParallel`) and a rule that reads one
 * parameter at a time, so it does not support LAMB with `maxGradNorm`.
 *
 * All processes must call `step` and `state` the same number of times. In each process, `state` returns the complete state,
 * as the optimiser of one process would; `load` takes it with any number of processes.
 *
 * @param make makes an optimiser for some of the parameters, e.g. with `adamw`
 * @throws InputError if there are no parameters
 */
export function shardedOptimizer(
  groups: readonly ParameterGroup[],
  make: (groups: readonly ParameterGroup[]) => Optimizer,
  group: ProcessGroup,
): Optimizer {
  const shares = deal(
    groups.flatMap(({ parameters }) => parameters),
    group.size,
  );
  const owners = new Map(shares.flatMap((share, rank) => share.map(([name]) => [name, rank] as const)));
  const own = (name: string) => owners.get(name) === group.rank;
  const mine = groups.map((each) => ({ ...each, parameters: each.parameters.filter(([name]) => own(name)) }));
  // There may be more processes than parameters.
  const isIdle = owners.size > 0 && shares[group.rank].length === 0;
  const inner = isIdle ? undefined : make(mine);

  return {
    // All ranks must decide alike, also one without parameters.
    canSkip: false,
    step(lr) {
      inner?.step(lr);
      for (const [rank, share] of shares.entries()) {
        group.broadcast(
          share.map(([, parameter]) => parameter),
          rank,
        );
      }
    },
    state() {
      const own = inner?.state() ?? new Map<string, TensorData>();
      return new Map(shares.flatMap((_, rank) => [...sendState(group, rank, own)]));
    },
    load(state) {
      // Keys are exp_avg.<parameter>. A key without a known parameter, such as the step, belongs to every process.
      const isMine = (key: string) =>
        (owners.get(key.slice(key.indexOf('.') + 1)) ?? group.rank) === group.rank;
      inner?.load(new Map([...state].filter(([key]) => isMine(key))));
    },
    free: () => inner?.free(),
  };
}

/** Splits parameters into shares of similar size: largest first, each to the smallest share so far. */
function deal(parameters: readonly Named[], size: number): Named[][] {
  const shares = Array.from({ length: size }, () => ({ elements: 0, parameters: [] as Named[] }));
  const sized = parameters.map((named) => ({ named, elements: elementCount(named[1].shape) }));
  for (const { named, elements } of sized.sort((a, b) => b.elements - a.elements)) {
    const least = shares.reduce((best, share) => (share.elements < best.elements ? share : best));
    least.parameters.push(named);
    least.elements += elements;
  }
  return shares.map((share) => share.parameters);
}

interface Entry {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[];
}

/** Sends the state of process `from` to every process. */
function sendState(
  group: ProcessGroup,
  from: number,
  own: ReadonlyMap<string, TensorData>,
): Map<string, TensorData> {
  const isSender = group.rank === from;
  const index: Entry[] = Array.from(own, ([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const entries: Entry[] = JSON.parse(sendText(group, from, JSON.stringify(index)));
  return scope(() => {
    const tensors = entries.map(({ name, dtype, shape }) =>
      isSender ? fromData(own.get(name) as TensorData, group.device) : zeros(shape, dtype, group.device),
    );
    group.broadcast(tensors, from);
    return new Map(entries.map(({ name }, i) => [name, tensors[i].toData()]));
  });
}

function sendText(group: ProcessGroup, from: number, text: string): string {
  return scope(() => {
    const bytes = new TextEncoder().encode(text);
    const count = fromArray(BigInt64Array.of(BigInt(bytes.length)), [], group.device);
    group.broadcast([count], from);
    const length = count.item();
    const data = group.rank === from ? bytes : new Uint8Array(length);
    const sent = fromArray(data, [length], group.device);
    group.broadcast([sent], from);
    return new TextDecoder().decode(sent.toData().data);
  });
}
