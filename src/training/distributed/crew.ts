import { scope } from '../../torch/scope.js';
import { fromArray } from '../../torch/tensor.js';
import type { ProcessGroup } from './process-group.js';

/**
 * How processes that train together agree on what is not the same in all by itself: signals, clocks, scores. All call
 * the same methods in the same order. A process that trains alone is a crew of one.
 */
export interface Crew {
  readonly rank: number;
  readonly size: number;
  /** Rank 0: writes files, logs, evaluates. */
  readonly leads: boolean;
  readonly group: ProcessGroup | undefined;
  /** For each flag, whether any process has it. */
  any(flags: readonly boolean[]): boolean[];
  /**
   * Rank 0 works, the others wait for its numbers, for as long as it calls `beat` now and then: then only the time
   * between two beats counts against the group's timeout.
   * @param count how many numbers
   */
  led(count: number, work: (beat: () => void) => Promise<readonly number[]>): Promise<readonly number[]>;
}

const BEAT_MS = 10_000;

/** @param beatMs the least time between two beats that are sent */
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
    any: (flags) => exchange(group, flags.map(Number), 'sum').map((sum) => sum > 0),
    async led(count, work) {
      if (!leads) {
        for (;;) {
          const [isDone, ...numbers] = exchange(group, Array(count + 1).fill(0), 'broadcast');
          if (isDone === 1) return numbers;
        }
      }
      let last = performance.now();
      const numbers = await work(() => {
        if (performance.now() - last < beatMs) return;
        last = performance.now();
        exchange(group, Array(count + 1).fill(0), 'broadcast');
      });
      return exchange(group, [1, ...numbers], 'broadcast').slice(1);
    },
  };
}

function exchange(group: ProcessGroup, numbers: readonly number[], how: 'sum' | 'broadcast'): number[] {
  return scope(() => {
    const tensor = fromArray(Float64Array.from(numbers), [numbers.length], group.device);
    if (how === 'sum') group.allReduce([tensor], 'sum');
    else group.broadcast([tensor], 0);
    const { data } = tensor.toData();
    return Array.from(new Float64Array(data.buffer, data.byteOffset, numbers.length));
  });
}
