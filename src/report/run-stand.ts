import type { Metric, Scored } from '../run/metric.js';

/**
 * waiting: for phases before it, or for its turn; queued: with a scheduler; restarting: its process died and starts
 * again after a pause; stopped: by a person; lost: its process is gone without a word.
 */
export type StandState =
  | 'waiting'
  | 'queued'
  | 'running'
  | 'restarting'
  | 'done'
  | 'failed'
  | 'stopped'
  | 'lost';

/** How a phase stands, without its records. */
export interface PhaseCondition {
  readonly phase: string;
  readonly state: StandState;
  readonly restarts: number;
  /** Phases that it waits for. */
  readonly waits_for: readonly string[];
  readonly last_error: string | null;
  /** What a person should do now; null if nothing. */
  readonly to_do: string | null;
  readonly host: string | null;
  readonly pid: number | null;
  /** The scheduler's. */
  readonly job: string | null;
  /** When the state began, ISO 8601. */
  readonly since: string | null;
  /** When a phase that is restarting starts again, ISO 8601. */
  readonly next_start: string | null;
}

/**
 * How a phase stands. Has the primary metric of the last evaluation by its name, null before the first
 * evaluation.
 */
export interface PhaseStand extends PhaseCondition, Scored {
  /** Of `steps`; 0 before the first. */
  readonly step: number;
  readonly steps: number | null;
  /** The training loss of the last step that was recorded. */
  readonly loss: number | null;
  /** Of training, evaluation left out. */
  readonly images_per_second: number | null;
  /** Of the rest of the phase, at the recent speed, while it runs. */
  readonly seconds_left: number | null;
  /** The phase's log, once it has begun; of a job that ended before, what Slurm wrote of it. */
  readonly log: string | null;
}

export interface RunStand {
  readonly run: string;
  readonly name: string;
  /** failed: some phase is; running, queued: some phase is, and none failed; and so on. */
  readonly state: StandState;
  /** The metric that each phase reports. */
  readonly primary: Metric;
  /** The process of `run` that looks after the phases, where there is one. */
  readonly supervisor: { readonly pid: number; readonly host: string } | null;
  /** The command that goes on with what does not run by itself, or sums up what is done; null where nothing is to be done. */
  readonly command: string | null;
  /** The page about it, where there is one. */
  readonly report: string | null;
  /** In the order of the plan. */
  readonly phases: readonly PhaseStand[];
}
