/** What the dashboard's server and its page say to each other. Names in JSON are snake_case, as in the run folder. */

import type { PhaseCondition, StandState } from '../report/run-stand.js';
import type { Way } from '../report/way.js';
import type { Confusion } from '../run/confusion.js';
import type { Samples } from '../run/samples.js';

export const AXES = ['step', 'seconds', 'block_passes'] as const;
/** What a chart's horizontal axis counts. */
export type Axis = (typeof AXES)[number];

export const LAYOUTS = ['overlaid', 'sequence'] as const;
/** overlaid: every phase from 0; sequence: Deep Incubation's phases one after another, the baseline from 0. */
export type Layout = (typeof LAYOUTS)[number];

const STEP_METRICS = ['loss', 'lr', 'images_per_second', 'data_wait', 'memory_bytes', 'grad_norm'] as const;
export const EVAL_METRICS = ['top1', 'top5', 'eval_loss'] as const;
export const METRICS = [...STEP_METRICS, ...EVAL_METRICS] as const;
export type ChartMetric = (typeof METRICS)[number];

export interface PhaseState extends PhaseCondition {
  /** Blocks of each stage, where the plan tells. */
  readonly depths: readonly number[];
  readonly step: number;
  /** 0: not known yet. */
  readonly steps: number;
  readonly seconds: number;
  readonly block_passes: number;
  readonly planned_block_passes: number;
  /** The last values; null where there is none. `loss` is the training loss, `images_per_second` the speed of training. */
  readonly loss: number | null;
  readonly top1: number | null;
  readonly best_top1: number | null;
  readonly images_per_second: number | null;
  readonly memory_bytes: number | null;
  readonly data_wait: number | null;
  /** At the recent speed, while it runs. */
  readonly seconds_left: number | null;
  /** Changes whenever the records begin anew: what was read of them before is void. */
  readonly generation: number;
  /** Of its records: of a long history the newest values are told first, the rest is read by and by. */
  readonly unread_bytes: number;
  /** Records read so far. */
  readonly step_records: number;
  readonly eval_records: number;
  /** Bytes of log.txt: what is shown of it is stale when they change. */
  readonly log_bytes: number;
  /** Lines of metrics.jsonl that are no records. */
  readonly damaged_lines: number;
}

export interface RunState {
  /** The place in the command's list. */
  readonly id: number;
  readonly name: string;
  /** The folder's name, without the way to it. */
  readonly folder: string;
  readonly seed: number | null;
  /** How its recipe trains the model. */
  readonly way: Way;
  readonly state: StandState;
  readonly phases: readonly PhaseState[];
}

/** Records that came since the last message; a selection where they are many. */
export interface Points {
  readonly run: number;
  readonly phase: string;
  readonly generation: number;
  readonly kind: 'step' | 'eval';
  /** Records before these, and with them. */
  readonly from: number;
  readonly to: number;
  readonly columns: Readonly<Record<string, readonly (number | null)[]>>;
}

/** An event of the stream: the whole state at the start, then what changed. */
export interface Update {
  /** Changes when the server is started anew. */
  readonly boot: string;
  readonly runs: readonly RunState[];
  readonly points: readonly Points[];
}

/** Of a phase's last evaluation, and of the images that it has kept; null where there is none. */
export interface Judged {
  readonly confusion: Confusion | null;
  readonly train: Samples | null;
  readonly eval: Samples | null;
}

/** A curve: of each share of the range the least and the greatest value, so that no peak is lost. */
export interface Series {
  readonly run: number;
  readonly phase: string;
  readonly metric: ChartMetric;
  readonly generation: number;
  /** Records of the phase when it was made. */
  readonly count: number;
  /** Added to a record's axis value. */
  readonly offset: number;
  /** Whether every record of the range is there. */
  readonly exact: boolean;
  readonly x: readonly number[];
  readonly y: readonly (number | null)[];
}
