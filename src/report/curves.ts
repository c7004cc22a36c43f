import { type Metric, scoreOf } from '../run/metric.js';
import type { EvalRecord, MetricRecord, StepRecord } from '../run/records.js';

/** The records of one phase. */
export interface PhaseMetrics {
  readonly phase: string;
  readonly records: readonly MetricRecord[];
  /** From the plan; estimated from the records if absent. */
  readonly stepsPerEpoch?: number;
}

/** Unit of the cost axis. */
export type Cost = 'block_passes' | 'seconds';

/** The model that a curve belongs to. */
export type Role = 'meta' | 'hybrid' | 'assembled' | 'end_to_end';

export interface AccuracyCurve {
  readonly phase: string;
  readonly role: Role;
  /** Cost at which the phase begins: the total of all Deep Incubation phases before it. */
  readonly start: number;
  readonly end: number;
  /** `x`: cost so far, `y`: the metric. */
  readonly points: readonly Point[];
}

export interface LossCurve {
  readonly phase: string;
  /** Training loss against epochs; a long phase is averaged over equal bins. */
  readonly train: readonly Point[];
  /** Mean cross-entropy on the evaluation images. */
  readonly evaluation: readonly Point[];
}

export interface Point {
  readonly x: number;
  readonly y: number;
}

/**
 * The primary metric against cost. The phases of Deep Incubation follow one another (PT, every module, FT), as if a single
 * machine trained them all; the baseline starts at 0. `phases` must be in training order.
 */
export function accuracyCurves(phases: readonly PhaseMetrics[], cost: Cost, metric: Metric): AccuracyCurve[] {
  let spent = 0;
  return phases.map(({ phase, records }) => {
    const role = roleOf(phase);
    const start = role === 'end_to_end' ? 0 : spent;
    const end = records.reduce((most, record) => Math.max(most, start + record[cost]), start);
    if (role !== 'end_to_end') spent = end;
    const points = records
      .filter(isEval)
      .map((record) => ({ x: start + record[cost], y: scoreOf(record, metric) }));
    return { phase, role, start, end, points };
  });
}

/** Losses of each phase that has any. `bins`: maximum number of points in a training curve. */
export function lossCurves(phases: readonly PhaseMetrics[], bins = 160): LossCurve[] {
  return phases
    .map(({ phase, records, stepsPerEpoch }) => {
      const steps = records.filter(isStep);
      const perEpoch = stepsPerEpoch ?? guessedStepsPerEpoch(steps);
      const at = (record: MetricRecord, y: number) => ({ x: record.step / perEpoch, y });
      return {
        phase,
        train: binned(
          steps.map((record) => at(record, record.loss)),
          bins,
        ),
        evaluation: records.filter(isEval).map((record) => at(record, record.loss)),
      };
    })
    .filter(({ train, evaluation }) => train.length + evaluation.length > 0);
}

export function roleOf(phase: string): Role {
  if (phase === 'PT') return 'meta';
  if (phase === 'FT') return 'assembled';
  return phase === 'E2E' ? 'end_to_end' : 'hybrid';
}

/**
 * Records contain the epoch of a step but not the length of an epoch. After `step` steps in epoch `epoch`, an epoch has at least
 * step / (epoch + 1) steps. A phase shorter than one epoch counts as a whole epoch.
 */
function guessedStepsPerEpoch(steps: readonly StepRecord[]): number {
  return steps.reduce((most, { step, epoch }) => Math.max(most, step / (epoch + 1)), 0) || 1;
}

function binned(points: readonly Point[], bins: number): Point[] {
  if (points.length <= bins) return [...points];
  return Array.from({ length: bins }, (_, bin) => {
    const from = Math.floor((bin * points.length) / bins);
    const part = points.slice(from, Math.floor(((bin + 1) * points.length) / bins));
    const mean = (key: keyof Point) => part.reduce((sum, point) => sum + point[key], 0) / part.length;
    return { x: mean('x'), y: mean('y') };
  });
}

function isEval(record: MetricRecord): record is EvalRecord {
  return record.kind === 'eval';
}

function isStep(record: MetricRecord): record is StepRecord {
  return record.kind === 'step';
}
