import { existsSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { outputOf, type QueuedJob, type SlurmJob } from '../launch/slurm/slurm-jobs.js';
import { newestStep } from '../run/checkpoint-store.js';
import type { Metric, Scored } from '../run/metric.js';
import { type PhaseStatus, readStatus, type Status } from '../run/phase-status.js';
import { runFolder } from '../run/run-folder.js';

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
  /**
   * Estimated training time until the end of the run, without evaluation and start-up: of all phases, at the measured speed. Null if
   * no speed is known.
   */
  readonly seconds_left: number | null;
  /** In the order of the plan. */
  readonly phases: readonly PhaseOverview[];
}

/** Facts about a phase that are known from the run as a whole. */
export interface Circumstances {
  readonly needs: readonly string[];
  readonly job: SlurmJob | undefined;
  /** Jobs that are still in the scheduler's queue; undefined if the scheduler was not queried. */
  readonly queue: ReadonlyMap<string, QueuedJob> | undefined;
  /** Whether the phase has records. */
  readonly hasBegun: boolean;
}

/** The condition of a phase, read from the run folder only. Whether a process is alive is checked on the same machine only. */
export function phaseCondition(runDir: string, phase: string, around: Circumstances): PhaseCondition {
  const folder = runFolder(runDir);
  const { root } = folder.phase(phase);
  const status = readStatus(runDir, phase);
  const state = stateOf(status, around);
  const begun = state !== 'waiting' && state !== 'queued';
  const failing = state === 'failed' || state === 'lost' || state === 'restarting';
  const { job = status.job ?? null } = around.job ?? {};
  const hasLeft = state === 'stopped' && status.since === null && job !== null;
  const kept = existsSync(root) ? newestStep(root) : 0;
  const open = around.needs.filter((need) => !existsSync(folder.phase(need).result));
  return {
    phase,
    state,
    restarts: status.restarts,
    waits_for: state === 'done' ? [] : open,
    last_error: hasLeft ? leftError(job, outputOf(root, job)) : status.last_error,
    to_do: failing || state === 'stopped' ? toDo(state, kept, status) : null,
    host: begun && status.since !== null ? status.host : null,
    pid: status.pid,
    job,
    since: status.since,
    next_start: state === 'restarting' ? (status.next_start ?? null) : null,
  };
}

/** States in order of priority: the state of a run is the first one that any of its phases has. */
const ORDER = ['failed', 'lost', 'restarting', 'running', 'queued', 'stopped', 'waiting', 'done'] as const;

/** The state of a run, derived from the states of its phases. */
export function runState(states: readonly Status[]): Status {
  return ORDER.find((state) => states.includes(state)) ?? 'waiting';
}

function stateOf(status: PhaseStatus, { job, queue, hasBegun }: Circumstances): Status {
  const { state } = status;
  if (state === 'done' || state === 'running') return state;
  const neverBegan = state === 'waiting' && status.since === null;
  if (job !== undefined) {
    // Without an answer from the scheduler, a phase that never began may still be queued. Otherwise the folder is enough.
    if (queue === undefined ? neverBegan : queue.has(job.job)) {
      return state === 'lost' && queue?.get(job.job)?.state === 'RUNNING' ? 'restarting' : 'queued';
    }
    if (neverBegan) return 'stopped';
  }
  // Folders of older versions do not contain the state of a phase, but its records show that it began.
  if (neverBegan && hasBegun) return 'stopped';
  return state;
}

function toDo(state: Status, step: number, { hint, next_start: next }: PhaseStatus): string {
  const from =
    step > 0
      ? `resumes from its checkpoint of step ${step.toLocaleString('en-US')}`
      : 'starts from the beginning';
  if (state === 'restarting') return `nothing: ${restart(next)}it ${from} automatically`;
  if (state === 'failed') return `${hint ?? 'see its log'}; then run again: it ${from}`;
  return `run again: it ${from}`;
}

function leftError(job: string, printed: string | undefined): string {
  const how = printed === undefined ? 'left the queue before it started' : 'ended before training started';
  return `its Slurm job ${job} ${how}`;
}

function restart(next: string | undefined): string {
  const seconds = next === undefined ? 0 : (Date.parse(next) - Date.now()) / 1000;
  return seconds > 0 ? `in ${Math.ceil(seconds)} s ` : '';
}

/** A phase in `plan.json`. */
export interface PlannedPhase {
  readonly phase: string;
  readonly steps: number | null;
  readonly needs: readonly string[];
  readonly depths: readonly number[];
  /** For each stage the source of its first weights, null: from scratch; empty in plans of older versions. */
  readonly starts_from: readonly (string | null)[];
  readonly block_passes: number;
}

/** The phases of a parsed `plan.json`; undefined if it is not a valid plan. */
export function plannedPhases(plan: unknown): PlannedPhase[] | undefined {
  const { phases }: { phases?: unknown } = Object(plan);
  if (!Array.isArray(phases) || !phases.every(isPlanned)) return undefined;
  const number = (value: unknown) => (typeof value === 'number' && Number.isFinite(value) ? value : 0);
  return phases.map((entry) => {
    const { phase, steps, needs, depths, starts_from: sources, block_passes } = Object(entry);
    return {
      phase: String(phase),
      steps: typeof steps === 'number' ? steps : null,
      needs: Array.isArray(needs) ? needs.map(String) : [],
      depths: Array.isArray(depths) ? depths.map(number) : [],
      starts_from: Array.isArray(sources) ? sources.map((each) => (each === null ? null : String(each))) : [],
      block_passes: number(block_passes),
    };
  });
}

/** Valid names of phases. A name is used as a path in the run folder, so it must not point anywhere else. */
const PHASE = /^(PT|FT|E2E|MT\/\d{1,4})$/;

function isPlanned(entry: unknown): boolean {
  const { phase, needs }: { phase?: unknown; needs?: unknown } = Object(entry);
  const names = [phase, ...(Array.isArray(needs) ? needs : [])];
  return names.every((name) => typeof name === 'string' && PHASE.test(name));
}

/** The name of a run: from its recipe, otherwise the name of its folder. */
export function runName(recipe: unknown, runDir: string): string {
  const { name }: { name?: unknown } = Object(recipe);
  return typeof name === 'string' ? name : basename(resolve(runDir));
}
