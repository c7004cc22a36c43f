import { existsSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Metric } from '../../run/metric.js';
import { tailMetrics } from '../../run/metrics-log.js';
import {
  type EvalRecord,
  type MetricRecord,
  type PhaseResult,
  RECENT,
  type StepRecord,
  secondsLeft,
} from '../../run/records.js';
import { readResult, runFolder } from '../../run/run-folder.js';
import { metricsOfRun } from '../../tasks/metrics.js';
import { lossCurve } from './loss-curve.js';

/** The state of a phase, from its files. */
export interface PhaseProgress {
  readonly phase: string;
  /** The main metric of evaluations and the result. */
  readonly primary: Metric;
  /** `running` after a record was added since watching began; `done` after `result.json` was written. */
  readonly stage: 'waiting' | 'running' | 'done';
  readonly step?: StepRecord;
  readonly evaluation?: EvalRecord;
  readonly result?: PhaseResult;
  /** Steps done before watching began; above 0 if the phase was resumed. */
  readonly resumedFrom: number;
  /** Estimated time until the end of the phase, at the recent speed. */
  readonly secondsLeft?: number;
  /** Draws the history of the loss since watching began. */
  readonly curve: (width: number) => string;
}

export interface PhaseWatch {
  /** Reads new records. */
  poll(): PhaseProgress;
}

/** Watches one phase of a run folder. Read-only. */
export function watchPhase(root: string, phase: string): PhaseWatch {
  const files = runFolder(existsSync(root) ? realpathSync(root) : resolve(root)).phase(phase);
  const { primary } = metricsOfRun(root);
  const tail = tailMetrics(files.metrics);
  const before = fold([], tail.poll().records);
  let recent = before;
  let evaluation: EvalRecord | undefined;
  const losses = lossCurve();
  let state: PhaseProgress = {
    phase,
    primary,
    stage: 'waiting',
    resumedFrom: before.at(-1)?.step ?? 0,
    curve: losses.draw,
  };

  return {
    poll: () => {
      if (state.stage === 'done') return state;
      const { reset, records } = tail.poll();
      // A resumed run truncates the log to its checkpoint: the remaining records are from earlier training.
      const resumedFrom = reset ? (fold([], records).at(-1)?.step ?? 0) : state.resumedFrom;
      if (reset) losses.clear();
      for (const record of records) if (record.kind === 'step') losses.add(record.loss);
      recent = fold(reset ? [] : recent, records);
      evaluation = records.findLast((record) => record.kind === 'eval') ?? (reset ? undefined : evaluation);
      const result = existsSync(files.result) ? readResult(root, phase) : undefined;
      const running = state.stage === 'running' || reset || records.length > 0;
      state = {
        phase,
        primary,
        stage: result ? 'done' : running ? 'running' : 'waiting',
        step: recent.at(-1),
        evaluation,
        result,
        resumedFrom,
        secondsLeft: secondsLeft(recent[0], recent.at(-1), recent.at(-1)?.steps ?? 0) ?? undefined,
        curve: losses.draw,
      };
      return state;
    },
  };
}

function fold(recent: readonly StepRecord[], records: readonly MetricRecord[]): readonly StepRecord[] {
  const steps = records.filter((record) => record.kind === 'step');
  return [...recent, ...steps].slice(-RECENT);
}
