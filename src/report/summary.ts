import { type Metric, type Scored, scoreOf, scoresOf, type TaskMetrics } from '../run/metric.js';
import type { PhaseResult } from '../run/records.js';
import { metricsOf } from '../tasks/metrics.js';
import type { TaskName } from '../tasks/tasks.js';
import {
  accuracyDifference,
  accuracyInterval,
  differenceField,
  type Interval,
  intervalField,
  isLevel,
  type ScoredImages,
} from './uncertainty.js';
import { isScratch, type ScratchWay, type Way } from './way.js';

/**
 * `summary.json`: the results of a run and their cost. A part is absent until its last phase is done. If both models are done,
 * `difference_<primary metric>` is the lead of `incubation`, `growth` or `fine_tuning` over `end_to_end`, in percentage points
 * (negative: behind).
 */
export interface RunSummary extends Scored {
  readonly name: string;
  readonly seed: number;
  /** The number of classes; absent in summaries of older versions. */
  readonly classes?: number | undefined;
  /** Absent for classification. */
  readonly task?: TaskName | undefined;
  /** The assembled model after FT, with the total cost of PT, every MT and FT. */
  readonly incubation?: Outcome;
  /** Replaces `incubation` if FT started from the whole model, grown from the meta model: the total cost of PT and FT. */
  readonly growth?: Outcome;
  /** Replaces `incubation` if FT started from a given model (`start.model`): nothing was incubated. */
  readonly fine_tuning?: Outcome;
  /** The baseline trained from scratch. */
  readonly end_to_end?: Outcome;
  /** How `end_to_end` was trained, if by local losses. */
  readonly local?: 'infopro' | 'dgl';
  readonly phases: readonly PhaseResult[];
  /**
   * The better model by the primary metric; present if both are done. `tie`: the difference is within the uncertainty, which
   * means that `difference_interval` contains 0; without an interval, the two differ by less than 0.005 points.
   */
  readonly winner?: Way | 'tie';
  /** The 95 % interval of the difference, in points (see `accuracyDifference`). Absent if the number of images is unknown. */
  readonly difference_interval?: Interval | undefined;
  /** Whether the interval compares the two models image by image. */
  readonly difference_is_paired?: boolean | undefined;
  readonly machine: Readonly<Record<string, unknown>>;
}

/** Contains the task's metrics by name, and the 95 % interval of the primary one. */
export interface Outcome extends Scored {
  /** The number of images that the metrics and `loss` were measured on; absent if unknown. */
  readonly evaluation_images?: number | undefined;
  /** Evaluation loss: the mean cross-entropy of the last evaluation. */
  readonly loss: number;
  readonly block_passes: number;
  readonly macs: number;
  /** Total training seconds of the phases, as if one machine had run them one after another. */
  readonly seconds: number;
}

interface SummaryInput {
  readonly name: string;
  readonly seed: number;
  /** Results of the finished phases, in any order. */
  readonly results: readonly PhaseResult[];
  readonly machine: Readonly<Record<string, unknown>>;
  /** Counts of the last evaluations of FT and E2E, by phase. */
  readonly scored?: ReadonlyMap<string, ScoredImages>;
  readonly classes?: number | undefined;
  /** Default: classification. */
  readonly task?: TaskName | undefined;
  /** Default `incubation`. */
  readonly way?: Way;
}

const TIE = 0.005;

/** Adds up the phases. Pure. */
export function summarize(input: SummaryInput): RunSummary {
  const { name, seed, results, machine, classes, task, way = 'incubation' } = input;
  const phases = [...results].sort((a, b) => order(a.phase) - order(b.phase));
  const metrics = metricsOf({ classes, task });
  const ft = input.scored?.get('FT');
  const e2e = input.scored?.get('E2E');
  const own = outcome(phases.filter(isOwn), { last: 'FT', scored: ft, metrics });
  const baseline = outcome(
    phases.filter((phase) => !isOwn(phase)),
    { last: 'E2E', scored: e2e, metrics },
  );
  const key = isScratch(way) ? 'incubation' : way;
  return {
    name,
    seed,
    classes,
    ...(task && { task }),
    ...(own && { [key]: own }),
    ...(baseline && { end_to_end: baseline }),
    ...((way === 'infopro' || way === 'dgl') && { local: way }),
    phases,
    ...(own && baseline && comparison({ key, own, baseline, metric: metrics.primary, ft, e2e })),
    machine,
  };
}

/** The model that is compared with the baseline; undefined until it is done. */
export function ownOutcome({ incubation, growth, fine_tuning: tuned }: RunSummary): Outcome | undefined {
  return incubation ?? growth ?? tuned;
}

function isOwn({ phase }: PhaseResult): boolean {
  return phase !== 'E2E';
}

interface Evaluated {
  readonly last: 'FT' | 'E2E';
  readonly scored: ScoredImages | undefined;
  readonly metrics: TaskMetrics;
}

function outcome(parts: readonly PhaseResult[], { last, scored, metrics }: Evaluated): Outcome | undefined {
  const result = parts.find(({ phase }) => phase === last);
  if (result === undefined) return undefined;
  const sum = (key: 'block_passes' | 'macs' | 'seconds') =>
    parts.reduce((total, part) => total + part[key], 0);
  return {
    ...scoresOf(result, metrics.all),
    ...intervalField(metrics.primary, scored && accuracyInterval(scored)),
    evaluation_images: scored?.images,
    loss: result.loss,
    block_passes: sum('block_passes'),
    macs: sum('macs'),
    seconds: sum('seconds'),
  };
}

interface Compared {
  readonly key: Exclude<Way, ScratchWay>;
  readonly own: Outcome;
  readonly baseline: Outcome;
  readonly metric: Metric;
  readonly ft: ScoredImages | undefined;
  readonly e2e: ScoredImages | undefined;
}

type Comparison = Pick<RunSummary, 'winner' | 'difference_interval' | 'difference_is_paired'>;

function comparison({ key, own, baseline, metric, ft, e2e }: Compared): Comparison {
  const difference = scoreOf(own, metric) - scoreOf(baseline, metric);
  const isAhead = metric.better === 'higher' ? difference > 0 : difference < 0;
  const leader = isAhead ? key : 'end_to_end';
  if (ft === undefined || e2e === undefined) {
    return {
      winner: Math.abs(difference) < TIE ? 'tie' : leader,
      ...differenceField(metric, difference),
    };
  }
  const found = accuracyDifference(ft, e2e);
  return {
    winner: isLevel(found) ? 'tie' : leader,
    ...differenceField(metric, difference),
    difference_interval: found.interval,
    difference_is_paired: found.isPaired,
  };
}

/** The order of training: PT, MT/0 ..., FT, E2E. */
function order(phase: string): number {
  if (phase === 'PT') return -1;
  if (phase === 'FT') return Number.MAX_SAFE_INTEGER - 1;
  if (phase === 'E2E') return Number.MAX_SAFE_INTEGER;
  return Number(phase.split('/')[1]);
}
