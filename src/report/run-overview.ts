import type { Metric, Scored } from '../run/metric.js';
import type { Status } from '../run/phase-status.js';

/** The condition of a phase, without its records. */
export interface PhaseCondition {
  readonly phase: string;
  readonly state: Status;
  readonly restarts: number;
  /** Unfinished phases that this phase depends on. */
  readonly waits_for: readonly string[];
  readonly last_error: string | null;
  /** What the user should do now; null if nothing. */
  readonly to_do: string | null;
  readonly host: string | null;
  readonly pid: number | null;
  /** Job id in the scheduler. */
  readonly job: string | null;
  /** When the state began, ISO 8601. */
  readonly since: string | null;
  /** When a phase that is restarting starts again, ISO 8601. */
  readonly next_start: string | null;
}

/** The state of a phase. Contains the primary metric of the last evaluation under its name, null before the first evaluation. */
export interface PhaseOverview extends PhaseCondition, Scored {
  /** Steps done, out of `steps`; 0 before the first. */
  readonly step: number;
  readonly steps: number | null;
  /** Training loss of the last recorded step. */
  readonly loss: number | null;
  /** Training speed, without evaluation. */
  readonly images_per_second: number | null;
  /** Estimated time until the end of the phase at the recent speed; null unless it is running. */
  readonly seconds_left: number | null;
  /** Path of the phase's log, once it has begun; for a job that ended earlier, the path of its Slurm output. */
  readonly log: string | null;
}

export interface RunStatus {
  readonly run: string;
  readonly name: string;
  /** failed: at least one phase failed; running, queued: at least one phase is, and none failed; and so on. */
  readonly state: Status;
  /** The metric that each phase reports. */
  readonly primary: Metric;
  /** The `run` process that supervises the phases, if there is one. */
  readonly supervisor: { readonly pid: number; readonly host: string } | null;
  /**
   * The command that resumes phases that do not run by themselves, or writes the summary and report of finished ones; null if
   * nothing is to be done.
   */
  readonly command: string | null;
  /** Path of the report page, if it exists. */
  readonly report: string | null;
  /** In the order of the plan. */
  readonly phases: readonly PhaseOverview[];
}
