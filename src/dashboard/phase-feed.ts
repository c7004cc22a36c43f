import { runFolder } from '../checkpoint/run-folder.js';
import { type Columns, createColumns } from './columns.js';
import { tailLines } from './line-tail.js';
import type { Metric, PhaseState, State } from './protocol.js';
import { sizeOf } from './run-file.js';
import type { Standing } from './run-state.js';

const PLACE = ['step', 'seconds', 'block_passes'] as const;
export const STEP_COLUMNS = [
  ...PLACE,
  'loss',
  'lr',
  'images_per_second',
  'data_wait',
  'memory_bytes',
  'grad_norm',
] as const;
export const EVAL_COLUMNS = [...PLACE, 'top1', 'top5', 'loss'] as const;

/** The records of a phase as far as they are written. */
export interface PhaseFeed {
  readonly phase: string;
  readonly generation: number;
  readonly steps: Columns<(typeof STEP_COLUMNS)[number]>;
  readonly evals: Columns<(typeof EVAL_COLUMNS)[number]>;
  /** Reads on. @returns whether there is more to read at once */
  poll(): boolean;
  state(standing: Standing): PhaseState;
}

export function createPhaseFeed(root: string, phase: string): PhaseFeed {
  const folder = runFolder(root).phase(phase);
  const tail = tailLines(folder.metrics);
  const steps = createColumns(STEP_COLUMNS);
  const evals = createColumns(EVAL_COLUMNS);
  let generation = 0;
  let damaged = 0;
  /** Steps of the whole phase, by the records. */
  let total = 0;
  let bestTop1: number | null = null;

  const take = (line: string) => {
    const record = parse(line);
    if (record === undefined) {
      if (line !== '') damaged++;
    } else if (record.kind === 'step') {
      steps.push((name) => record[name]);
      if (typeof record.steps === 'number') total = record.steps;
    } else if (record.kind === 'eval') {
      evals.push((name) => record[name]);
      if (typeof record.top1 === 'number') bestTop1 = Math.max(bestTop1 ?? record.top1, record.top1);
    }
  };

  return {
    phase,
    steps,
    evals,
    get generation() {
      return generation;
    },
    poll: () => {
      const { reset, lines, more } = tail.poll();
      if (reset) {
        generation++;
        damaged = 0;
        bestTop1 = null;
        steps.clear();
        evals.clear();
      }
      for (const line of lines) take(line);
      return more;
    },
    state: ({ steps: planned, ...standing }) => {
      const last = (name: (typeof STEP_COLUMNS)[number]) => finite(steps.column(name).at(-1));
      const ofEval = (name: (typeof EVAL_COLUMNS)[number]) => finite(evals.column(name).at(-1));
      const furthest = (name: (typeof PLACE)[number]) => Math.max(last(name) ?? 0, ofEval(name) ?? 0);
      const hasBegun = steps.length + evals.length > 0;
      return {
        ...standing,
        state: stateBy(standing.state, hasBegun),
        step: furthest('step'),
        steps: total || planned,
        seconds: furthest('seconds'),
        block_passes: furthest('block_passes'),
        loss: last('loss'),
        top1: ofEval('top1'),
        best_top1: bestTop1,
        images_per_second: last('images_per_second'),
        memory_bytes: last('memory_bytes'),
        data_wait: last('data_wait'),
        generation,
        step_records: steps.length,
        eval_records: evals.length,
        log_bytes: sizeOf(folder.log),
        damaged_lines: damaged,
      };
    },
  };
}

/** The table and column that hold a metric. */
export function columnsOf(
  feed: PhaseFeed,
  metric: Metric,
  axis: (typeof PLACE)[number],
): { readonly x: Float64Array; readonly y: Float64Array } {
  const { steps, evals } = feed;
  if (metric === 'top1' || metric === 'top5') return { x: evals.column(axis), y: evals.column(metric) };
  if (metric === 'eval_loss') return { x: evals.column(axis), y: evals.column('loss') };
  return { x: steps.column(axis), y: steps.column(metric) };
}

/** A folder of an older version says nothing of how a phase stands; that it has begun shows. */
function stateBy(state: State, hasBegun: boolean): State {
  return state === 'waiting' && hasBegun ? 'interrupted' : state;
}

function finite(value: number | undefined): number | null {
  return value !== undefined && Number.isFinite(value) ? value : null;
}

function parse(line: string): Record<string, unknown> | undefined {
  try {
    const value = JSON.parse(line);
    return typeof value?.kind === 'string' && typeof value.step === 'number' ? value : undefined;
  } catch {
    return undefined;
  }
}
