import { type DType, dtypeSize, elementCount, type TensorData } from '../../base/tensor-data.js';
import { scope } from '../../torch/scope.js';
import { fromData } from '../../torch/tensor.js';
import type { ProcessGroup } from './process-group.js';

/**
 * Lets processes that train together agree on values that may differ between them: signals, clocks, scores. All processes
 * call the same methods in the same order. A process that trains by itself is a crew of one.
 */
export interface Crew {
  readonly rank: number;
  readonly size: number;
  /** True for rank 0, which writes files, logs and evaluates. */
  readonly leads: boolean;
  readonly group: ProcessGroup | undefined;
  /** For each flag, whether it is set in any process. */
  any(flags: readonly boolean[]): boolean[];
  /**
   * Rank 0 runs `work`; all other processes wait for its numbers. `work` calls `beat` regularly, so that only the time between
   * two beats counts against the group's timeout.
   * @param count the number of numbers
   */
  led(count: number, work: (beat: () => void) => Promise<readonly number[]>): Promise<readonly number[]>;
}

const BEAT_MS = 10_000;

/** @param beatMs the minimum time between two beats that are sent */
export function crewOf(group: ProcessGroup | undefined, beatMs = BEAT_MS): Crew {
  if (group === undefined) {
    const any: Crew['any'] = (flags) => [...flags];
    return { rank: 0, size: 1, leads: true, group, any, led: (_, work) => work(() => {}) };
  }
  const { rank, size } = group;
  const leads = rank === 0;
  return {
    rank,
    size,
    leads,
    group,
    any: (flags) => group.exchange(flags.map(Number), 'sum').map((sum) => sum > 0),
    async led(count, work) {
      if (!leads) {
        for (;;) {
          const [isDone, ...numbers] = group.exchange(Array(count + 1).fill(0), 'broadcast');
          if (isDone === 1) return numbers;
        }
      }
      let last = performance.now();
      const numbers = await work(() => {
        if (performance.now() - last < beatMs) return;
        last = performance.now();
        group.exchange(Array(count + 1).fill(0), 'broadcast');
      });
      return group.exchange([1, ...numbers], 'broadcast').slice(1);
    },
  };
}

type Tensors = ReadonlyMap<string, TensorData>;

/** A tensor without its bytes. */
type TensorPlace = readonly [name: string, dtype: DType, shape: readonly number[]];

const CHUNK = 2 ** 26;

function placesOf(tensors: Tensors): TensorPlace[] {
  return [...tensors].map(([name, { dtype, shape }]) => [name, dtype, shape]);
}

/**
 * Sends rank 0's bytes to all processes. Every process calls it, with the same length.
 * @param bytes read only in rank 0
 */
export function broadcastBytes(
  group: ProcessGroup,
  bytes: Uint8Array | undefined,
  length: number,
): Uint8Array {
  const isSender = group.rank === 0;
  const all = isSender && bytes !== undefined ? bytes : new Uint8Array(length);
  for (let at = 0; at < length; at += CHUNK) {
    const chunk = all.subarray(at, Math.min(at + CHUNK, length));
    scope(() => {
      const tensor = fromData({ dtype: 'U8', shape: [chunk.length], data: chunk }, group.device);
      group.broadcast([tensor], 0);
      if (!isSender) chunk.set(tensor.toData().data);
    });
  }
  return all;
}

/** Sends rank 0's tensors to all processes, unchanged. Every process calls it, with the same places. */
function broadcastTensors(
  group: ProcessGroup,
  places: readonly TensorPlace[],
  tensors: Tensors | undefined,
): Map<string, TensorData> {
  return new Map(
    places.map(([name, dtype, shape]) => {
      const length = elementCount(shape) * dtypeSize(dtype);
      return [name, { dtype, shape, data: broadcastBytes(group, tensors?.get(name)?.data, length) }];
    }),
  );
}

/** Tensors, and a description of them that JSON can represent. */
interface Described<About> {
  readonly about: About;
  readonly tensors: readonly ReadonlyMap<string, TensorData>[];
}

/**
 * Reads tensors in rank 0, and sends them to the other processes that train together, so that a file is read and verified
 * once. All of these processes call it.
 * @param read `beat` is called regularly; see `Crew.led`. Returns undefined if there is nothing
 */
export async function readForAll<About>(
  { group, led }: Crew,
  read: (beat: () => void) => Promise<Described<About> | undefined>,
): Promise<Described<About> | undefined> {
  let found: Described<About> | undefined;
  let header = Buffer.alloc(0);
  const [length] = await led(1, async (beat) => {
    found = await read(beat);
    if (group === undefined || found === undefined) return [0];
    header = Buffer.from(JSON.stringify({ about: found.about, places: found.tensors.map(placesOf) }));
    return [header.length];
  });
  if (group === undefined || length === 0) return found;
  const text = Buffer.from(broadcastBytes(group, header, length)).toString();
  const { about, places }: Sent<About> = JSON.parse(text);
  const tensors = places.map((each, i) => broadcastTensors(group, each, found?.tensors[i]));
  return { about, tensors };
}

interface Sent<About> {
  readonly about: About;
  readonly places: readonly ReturnType<typeof placesOf>[];
}
