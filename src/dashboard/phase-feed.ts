import { isBetter, type Metric, scoreOf, type TaskMetrics } from '../run/metric.js';
import { tailLines } from '../run/metrics-log.js';
import { RECENT, secondsLeft } from '../run/records.js';
import { readTail, runFolder, sizeOf } from '../run/run-folder.js';
import { type Columns, createColumns } from './columns.js';
import {
  bestOf,
  type ChartMetric,
  EVAL_LOSS_METRIC,
  isStepMetric,
  type PhaseState,
  STEP_METRICS,
} from './protocol.js';
import type { PlannedCondition } from './run-state.js';

const PLACE = ['step', 'seconds', 'block_passes'] as const;
export const STEP_COLUMNS = [...PLACE, ...STEP_METRICS] as const;

/** The records of a phase that are written so far. */
export interface PhaseFeed {
  readonly phase: string;
  readonly generation: number;
  readonly steps: Columns<(typeof STEP_COLUMNS)[number]>;
  /** Has columns for the task's metrics too. */
  readonly evals: Columns<string>;
  /**
   * Reads the next records.
   * @returns whether there is more to read immediately
   */
  poll(): boolean;
  /** While a long history is being read, the latest values come from the end of the file. */
  state(standing: PlannedCondition): PhaseState;
}

export function createPhaseFeed(root: string, phase: string, metrics: TaskMetrics): PhaseFeed {
  const folder = runFolder(root).phase(phase);
  const tail = tailLines(folder.metrics);
  const { primary } = metrics;
  const history = createHistory(metrics);
  let generation = 0;
  let left = 0;
  /** The last records of the file, until all earlier ones are read. */
  let newest: { readonly size: number; readonly history: History } | undefined;

  const lookAtEnd = (size: number) => {
    if (newest?.size === size) return;
    const end = createHistory(metrics);
    for (const line of readTail(folder.metrics, END_BYTES).lines) end.take(line);
    newest = { size, history: end };
  };

  return {
    phase,
    steps: history.steps,
    evals: history.evals,
    get generation() {
      return generation;
    },
    poll: () => {
      const { reset, lines, unread } = tail.poll();
      if (reset) {
        generation++;
        history.clear();
      }
      for (const line of lines) history.take(line);
      left = unread;
      if (unread > 0) lookAtEnd(sizeOf(folder.metrics));
      else newest = undefined;
      return unread > 0;
    },
    state: ({ steps: planned, ...standing }) => {
      const known = newest?.history ?? history;
      const last = (name: (typeof STEP_COLUMNS)[number]) => finite(known.steps.column(name).at(-1));
      const ofEval = (name: string) =>
        finite((known.evals.length > 0 ? known : history).evals.column(name).at(-1));
      const furthest = (name: (typeof PLACE)[number]) => Math.max(last(name) ?? 0, ofEval(name) ?? 0);
      const steps = known.total || planned;
      return {
        ...standing,
        step: furthest('step'),
        steps,
        seconds: furthest('seconds'),
        block_passes: furthest('block_passes'),
        loss: last('loss'),
        [primary.name]: ofEval(primary.name),
        [bestOf(primary).name]: better(history.best, known.best, primary),
        images_per_second: last('images_per_second'),
        memory_bytes: last('memory_bytes'),
        data_wait: last('data_wait'),
        seconds_left: standing.state === 'running' ? secondsLeft(...recentOf(known), steps) : null,
        generation,
        unread_bytes: left,
        step_records: history.steps.length,
        eval_records: history.evals.length,
        log_bytes: sizeOf(folder.log),
        damaged_lines: history.damaged,
      };
    },
  };
}

const END_BYTES = 64 << 10;

interface History {
  readonly steps: PhaseFeed['steps'];
  readonly evals: PhaseFeed['evals'];
  readonly damaged: number;
  /** Number of steps of the whole phase, from the records. */
  readonly total: number;
  /** The best value of the primary metric. */
  readonly best: number | null;
  take(line: string): void;
  clear(): void;
}

function createHistory({ primary, all }: TaskMetrics): History {
  const steps = createColumns(STEP_COLUMNS);
  const evals = createColumns<string>([...PLACE, ...all.map(({ name }) => name), 'loss']);
  let damaged = 0;
  let total = 0;
  let best: number | null = null;
  return {
    steps,
    evals,
    get damaged() {
      return damaged;
    },
    get total() {
      return total;
    },
    get best() {
      return best;
    },
    take: (line) => {
      const record = parse(line);
      if (record === undefined) {
        if (line !== '') damaged++;
      } else if (record.kind === 'step') {
        steps.push((name) => record[name]);
        if (typeof record.steps === 'number') total = record.steps;
      } else if (record.kind === 'eval') {
        evals.push((name) => record[name]);
        best = better(best, finite(scoreOf(record, primary)), primary);
      }
    },
    clear: () => {
      damaged = 0;
      best = null;
      steps.clear();
      evals.clear();
    },
  };
}

/** The first and last of the recent step records. */
function recentOf({ steps }: History): [Place | undefined, Place | undefined] {
  const at = (row: number): Place | undefined =>
    row < 0 ? undefined : { step: steps.column('step')[row], seconds: steps.column('seconds')[row] };
  return [at(Math.min(steps.length - 1, Math.max(0, steps.length - RECENT))), at(steps.length - 1)];
}

interface Place {
  readonly step: number;
  readonly seconds: number;
}

function better(a: number | null, b: number | null, metric: Metric): number | null {
  if (a === null || b === null) return a ?? b;
  return isBetter(metric, a, b) ? a : b;
}

/** The columns that contain the axis and the metric. */
export function columnsOf(
  feed: PhaseFeed,
  metric: ChartMetric,
  axis: (typeof PLACE)[number],
): { readonly x: Float64Array; readonly y: Float64Array } {
  const { steps, evals } = feed;
  if (isStepMetric(metric)) return { x: steps.column(axis), y: steps.column(metric) };
  return { x: evals.column(axis), y: evals.column(metric === EVAL_LOSS_METRIC ? 'loss' : metric) };
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
