import type { PhaseResult } from '../run/records.js';
import { accuracyDifference, accuracyInterval, type Interval, isLevel, type Judged } from './uncertainty.js';
import type { Way } from './way.js';

/** `summary.json`: what a run reached and what it cost. A part is absent while its last phase is not done. */
export interface RunSummary {
  readonly name: string;
  readonly seed: number;
  /** How many classes there are; absent in summaries of older versions. */
  readonly classes?: number | undefined;
  /** The assembled model after FT, with the cost of PT, every MT and FT added up. */
  readonly incubation?: Outcome;
  /** In its place if FT started from a given model (`start.model`): nothing was incubated. */
  readonly fine_tuning?: Outcome;
  /** The baseline trained from scratch. */
  readonly end_to_end?: Outcome;
  readonly phases: readonly PhaseResult[];
  /**
   * By top-1. `tie`: level within the uncertainty, which means that 0 lies in `difference_interval`; without an interval, that the two
   * differ by less than 0.005 points. Present when both are done.
   */
  readonly winner?: 'incubation' | 'fine_tuning' | 'end_to_end' | 'tie';
  /** Points of top-1 that `incubation` or `fine_tuning` is ahead of `end_to_end` (negative: behind). */
  readonly difference_top1?: number;
  /** The 95 % interval of that difference, in points (see `accuracyDifference`). Absent if the number of images is unknown. */
  readonly difference_interval?: Interval | undefined;
  /** Whether the interval compares the two models image by image. */
  readonly difference_is_paired?: boolean | undefined;
  readonly machine: Readonly<Record<string, unknown>>;
}

export interface Outcome {
  /** Per cent. */
  readonly top1: number;
  /** The 95 % interval of `top1` (see `accuracyInterval`), per cent. */
  readonly top1_interval?: Interval | undefined;
  /** How many images `top1`, `top5` and `loss` were measured on; absent if unknown. */
  readonly evaluation_images?: number | undefined;
  /** Of five classes or fewer always 100. */
  readonly top5: number;
  /** Evaluation loss: the mean cross-entropy of the last evaluation. */
  readonly loss: number;
  readonly block_passes: number;
  readonly macs: number;
  /** Training seconds added up over the phases, as if one machine had run them one after another. */
  readonly seconds: number;
}

export interface SummaryInput {
  readonly name: string;
  readonly seed: number;
  /** Those done so far, in any order. */
  readonly results: readonly PhaseResult[];
  readonly machine: Readonly<Record<string, unknown>>;
  /** What FT's and E2E's last evaluations counted, by phase. */
  readonly judged?: ReadonlyMap<string, Judged>;
  readonly classes?: number | undefined;
  /** Default `incubation`. */
  readonly way?: Way;
}

const TIE = 0.005;

/** Adds the phases up. Pure. */
export function summarize(input: SummaryInput): RunSummary {
  const { name, seed, results, machine, classes, way = 'incubation' } = input;
  const phases = [...results].sort((a, b) => order(a.phase) - order(b.phase));
  const ft = input.judged?.get('FT');
  const e2e = input.judged?.get('E2E');
  const own = outcome(phases.filter(isOwn), 'FT', ft);
  const baseline = outcome(
    phases.filter((phase) => !isOwn(phase)),
    'E2E',
    e2e,
  );
  const key = way === 'fine_tuning' ? 'fine_tuning' : 'incubation';
  return {
    name,
    seed,
    classes,
    ...(own && { [key]: own }),
    ...(baseline && { end_to_end: baseline }),
    phases,
    ...(own && baseline && comparison({ key, difference: own.top1 - baseline.top1, ft, e2e })),
    machine,
  };
}

/** What is compared with the baseline, and how it was made: nothing until it is done. */
export function ownOutcome({ incubation, fine_tuning: tuned }: RunSummary): Outcome | undefined {
  return incubation ?? tuned;
}

function isOwn({ phase }: PhaseResult): boolean {
  return phase !== 'E2E';
}

function outcome(
  parts: readonly PhaseResult[],
  last: 'FT' | 'E2E',
  judged: Judged | undefined,
): Outcome | undefined {
  const result = parts.find(({ phase }) => phase === last);
  if (result === undefined) return undefined;
  const sum = (key: 'block_passes' | 'macs' | 'seconds') =>
    parts.reduce((total, part) => total + part[key], 0);
  return {
    top1: result.top1,
    top1_interval: judged && accuracyInterval(judged),
    evaluation_images: judged?.images,
    top5: result.top5,
    loss: result.loss,
    block_passes: sum('block_passes'),
    macs: sum('macs'),
    seconds: sum('seconds'),
  };
}

interface Compared {
  readonly key: 'incubation' | 'fine_tuning';
  readonly difference: number;
  readonly ft: Judged | undefined;
  readonly e2e: Judged | undefined;
}

type Comparison = Pick<
  RunSummary,
  'winner' | 'difference_top1' | 'difference_interval' | 'difference_is_paired'
>;

function comparison({ key, difference, ft, e2e }: Compared): Comparison {
  const leader = difference > 0 ? key : 'end_to_end';
  if (ft === undefined || e2e === undefined) {
    return { winner: Math.abs(difference) < TIE ? 'tie' : leader, difference_top1: difference };
  }
  const found = accuracyDifference(ft, e2e);
  return {
    winner: isLevel(found) ? 'tie' : leader,
    difference_top1: difference,
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
