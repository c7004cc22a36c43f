import { existsSync } from 'node:fs';
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
import { readResult, resolvedRunFolder } from '../../run/run-folder.js';
import { metricsOfRun } from '../../tasks/metrics.js';

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

interface PhaseWatch {
  /** Reads new records. */
  poll(): PhaseProgress;
}

/** Watches one phase of a run folder. Read-only. */
export function watchPhase(root: string, phase: string): PhaseWatch {
  const files = resolvedRunFolder(root).phase(phase);
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

const BARS = '▁▂▃▄▅▆▇█';
const KEPT = 256;

/** The history of a phase's loss, thinned as it grows, so that the whole phase stays visible. */
interface LossSparkline {
  add(loss: number): void;
  clear(): void;
  /** At most `width` characters. Each is the mean of an equal share of the steps; the highest mean is a full bar. */
  draw(width: number): string;
}

function lossCurve(): LossSparkline {
  let losses: number[] = [];
  let stride = 1;
  let seen = 0;
  return {
    add(loss) {
      if (seen++ % stride !== 0 || !Number.isFinite(loss)) return;
      losses.push(loss);
      if (losses.length < KEPT) return;
      losses = losses.filter((_, i) => i % 2 === 0);
      stride *= 2;
    },
    clear() {
      losses = [];
      stride = 1;
      seen = 0;
    },
    draw(width) {
      const count = Math.min(width, losses.length);
      const means = Array.from({ length: count }, (_, i) => {
        const part = losses.slice(
          Math.floor((i * losses.length) / count),
          Math.floor(((i + 1) * losses.length) / count),
        );
        return part.reduce((a, b) => a + b, 0) / part.length;
      });
      const [low, high] = [Math.min(...means), Math.max(...means)];
      const level = (mean: number) => (high > low ? (mean - low) / (high - low) : 0);
      return means.map((mean) => BARS[Math.round(level(mean) * (BARS.length - 1))]).join('');
    },
  };
}
