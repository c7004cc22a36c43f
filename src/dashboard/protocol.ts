/** Messages between the dashboard's server and its page. JSON names are snake_case, as in the run folder. */

import type { PhaseCondition } from '../report/phase-condition.js';
import type { Way } from '../report/way.js';
import type { Confusion } from '../run/confusion.js';
import type { DrawnDetails } from '../run/drawn-details.js';
import { type Metric, type Scored, scoreOf } from '../run/metric.js';
import type { Status } from '../run/phase-status.js';
import type { Samples } from '../run/samples.js';

export const AXES = ['step', 'seconds', 'block_passes'] as const;
/** Unit of a chart's horizontal axis. */
export type Axis = (typeof AXES)[number];

export const LAYOUTS = ['overlaid', 'sequence'] as const;
/** overlaid: every phase starts at 0; sequence: Deep Incubation's phases follow one another, the baseline starts at 0. */
export type ChartLayout = (typeof LAYOUTS)[number];

export const STEP_METRICS = [
  'loss',
  'lr',
  'images_per_second',
  'data_wait',
  'memory_bytes',
  'grad_norm',
] as const;
export type StepMetric = (typeof STEP_METRICS)[number];

/** The loss of the evaluations. In `metrics.jsonl` it is the field `loss` of an evaluation. */
export const EVAL_LOSS_METRIC = 'eval_loss';

/** A curve of a phase: a `StepMetric`, `EVAL_LOSS_METRIC`, or the name of one of the task's metrics. */
export type ChartMetric = string;

export function isStepMetric(metric: ChartMetric): metric is StepMetric {
  return STEP_METRICS.some((name) => name === metric);
}

/** The best value of a metric so far, in a phase's state. */
export function bestOf({ name }: Pick<Metric, 'name'>): { readonly name: string } {
  return { name: `best_${name}` };
}

/** A value in a phase's state; null if it is missing. */
export function stateScore(phase: PhaseState, metric: Pick<Metric, 'name'>): number | null {
  const score = scoreOf(phase, metric);
  return Number.isNaN(score) ? null : score;
}

/**
 * The state of a phase. Contains the primary metric of the last evaluation under its name, and its best value so far under that
 * name with the prefix `best_`; null before the first evaluation.
 */
export interface PhaseState extends PhaseCondition, Scored {
  /** Blocks of each stage; empty if the plan does not contain them. */
  readonly depths: readonly number[];
  /** For each stage the phase or the recipe key whose weights it starts from, null: from scratch; empty if it is not known. */
  readonly starts_from: readonly (string | null)[];
  readonly step: number;
  /** 0 if not known yet. */
  readonly steps: number;
  readonly seconds: number;
  readonly block_passes: number;
  readonly planned_block_passes: number;
  /** The latest values; null if missing. `loss` is the training loss, `images_per_second` the training speed. */
  readonly loss: number | null;
  readonly images_per_second: number | null;
  readonly memory_bytes: number | null;
  readonly data_wait: number | null;
  /** Estimated at the recent speed; null unless the phase is running. */
  readonly seconds_left: number | null;
  /** Changes when the records start over; everything read from them before is then invalid. */
  readonly generation: number;
  /**
   * Bytes of records not read yet: with a long history, the latest values are sent first and the rest is read in the background.
   */
  readonly unread_bytes: number;
  /** Records read so far. */
  readonly step_records: number;
  readonly eval_records: number;
  /** Size of log.txt in bytes; a change means that the displayed log is stale. */
  readonly log_bytes: number;
  /** Lines of metrics.jsonl that are not valid records. */
  readonly damaged_lines: number;
}

export interface RunState {
  /** Index in the command's list of runs. */
  readonly id: number;
  readonly name: string;
  /** The folder's name without its path. */
  readonly folder: string;
  readonly seed: number | null;
  /** The training method of its recipe. */
  readonly way: Way;
  readonly state: Status;
  /** The metric that decides which checkpoint and which model is the best. */
  readonly primary: Metric;
  /** Estimated training time until the end of the run; null if no speed is known. */
  readonly seconds_left: number | null;
  readonly phases: readonly PhaseState[];
}

/** Records added since the last message; a selection if there are many. */
export interface Points {
  readonly run: number;
  readonly phase: string;
  readonly generation: number;
  readonly kind: 'step' | 'eval';
  /** Number of records before these, and including these. */
  readonly from: number;
  readonly to: number;
  readonly columns: Readonly<Record<string, readonly (number | null)[]>>;
}

/** An event of the stream: the whole state first, then changes. */
export interface Update {
  /** Changes when the server restarts. */
  readonly boot: string;
  readonly runs: readonly RunState[];
  readonly points: readonly Points[];
}

/** Results of a phase's last evaluation, and its saved sample images; null if missing. */
export interface PhaseDetails {
  readonly confusion: Confusion | null;
  readonly train: Samples | null;
  readonly eval: Samples | null;
  /** Images with labels and predictions, of tasks that label pixels or find objects. */
  readonly drawn: DrawnDetails | null;
}

/** A curve. The minimum and maximum of each share of the range are kept, so that no peak is lost. */
export interface Series {
  readonly run: number;
  readonly phase: string;
  readonly metric: ChartMetric;
  readonly generation: number;
  /** Number of records of the phase when the curve was made. */
  readonly count: number;
  /** Offset that was added to the axis value of each record. */
  readonly offset: number;
  /** Whether all records of the range are included. */
  readonly exact: boolean;
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
}
