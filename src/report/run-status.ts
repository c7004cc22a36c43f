import { existsSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import { newestStep } from '../checkpoint/checkpoint-store.js';
import { liveHolder } from '../checkpoint/folder-lock.js';
import { readMetrics } from '../checkpoint/metrics-log.js';
import { type FoundStatus, readStatus } from '../checkpoint/phase-status.js';
import type { StepRecord } from '../checkpoint/records.js';
import { phasesIn, readJson, readResult, runFolder } from '../checkpoint/run-folder.js';
import { readJobs, type SlurmJob } from '../cluster/slurm-jobs.js';
import type { QueuedJob } from '../cluster/slurm-queue.js';

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

/** How one phase stands. */
export interface PhaseStand {
  readonly phase: string;
  readonly state: StandState;
  /** Of `steps`; 0 before the first. */
  readonly step: number;
  readonly steps: number | null;
  /** Of the last step that was recorded. */
  readonly loss: number | null;
  /** Of the last evaluation, per cent. */
  readonly top1: number | null;
  readonly images_per_second: number | null;
  /** Of the rest of the phase, at the recent speed, while it runs. */
  readonly seconds_left: number | null;
  readonly restarts: number;
  /** Phases that it waits for. */
  readonly waits_for: readonly string[];
  readonly last_error: string | null;
  /** What a person should do now; null where nothing. */
  readonly to_do: string | null;
  /** The phase's log, once it has begun. */
  readonly log: string | null;
  readonly host: string | null;
  readonly pid: number | null;
  /** The scheduler's. */
  readonly job: string | null;
  /** When the state began, ISO 8601. */
  readonly since: string | null;
}

export interface RunStand {
  readonly run: string;
  readonly name: string;
  /** failed: some phase is; running, queued: some phase is, and none failed; and so on. */
  readonly state: StandState;
  /** The process of `run` that looks after the phases, where there is one. */
  readonly supervisor: { readonly pid: number; readonly host: string } | null;
  /** In the order of the plan. */
  readonly phases: readonly PhaseStand[];
}

/**
 * How a run stands, from its folder alone; whether a process lives is asked of the system on the same machine.
 * @param queue what the scheduler still has, by job; left out where it was not asked
 * @throws InputError where the folder is no run's, or a file of it is damaged
 */
export function runStand(runDir: string, queue?: ReadonlyMap<string, QueuedJob>): RunStand {
  const folder = runFolder(runDir);
  if (!existsSync(folder.recipe)) {
    throw new InputError(`${runDir} is not a run: it has no recipe.json`, {
      hint: 'name the folder that `deep-incubation run` made',
    });
  }
  const { name }: { name?: unknown } = Object(readJson(folder.recipe));
  const jobs = new Map(readJobs(runDir).map((job) => [job.phase, job]));
  const planned = plannedPhases(runDir);
  const isDone = (phase: string) => existsSync(folder.phase(phase).result);
  const phases = planned.map(({ phase, steps, needs }) =>
    phaseStand(runDir, phase, {
      ...{ steps, job: jobs.get(phase), queue },
      waitsFor: needs.filter((need) => !isDone(need)),
    }),
  );
  const holder = liveHolder(runDir);
  return {
    run: runDir,
    name: typeof name === 'string' ? name : 'run',
    state: ORDER.find((state) => phases.some((phase) => phase.state === state)) ?? 'done',
    supervisor: holder === undefined ? null : { pid: holder.pid, host: holder.host },
    phases,
  };
}

/** What is said of a run, before anything else. */
const ORDER = ['failed', 'lost', 'restarting', 'running', 'queued', 'stopped', 'waiting', 'done'] as const;
const RECENT = 20;

interface Circumstances {
  readonly steps: number | null;
  readonly waitsFor: readonly string[];
  readonly job: SlurmJob | undefined;
  readonly queue: ReadonlyMap<string, QueuedJob> | undefined;
}

function phaseStand(runDir: string, phase: string, around: Circumstances): PhaseStand {
  const { root, log, metrics } = runFolder(runDir).phase(phase);
  const status = readStatus(runDir, phase);
  const records = readMetrics(metrics);
  const recent = records.filter((record) => record.kind === 'step').slice(-RECENT);
  const last = recent.at(-1);
  const result = readResult(runDir, phase);
  const state = stateOf(status, around);
  const begun = state !== 'waiting' && state !== 'queued';
  const failing = state === 'failed' || state === 'lost' || state === 'restarting';
  const { job = status.job ?? null } = around.job ?? {};
  const hasLeft = state === 'stopped' && status.since === null && job !== null;
  const kept = existsSync(root) ? newestStep(root) : undefined;
  return {
    ...{ phase, state },
    step: result?.steps ?? last?.step ?? 0,
    steps: last?.steps ?? around.steps,
    loss: last?.loss ?? null,
    top1: result?.top1 ?? records.findLast((record) => record.kind === 'eval')?.top1 ?? null,
    images_per_second: last?.images_per_second ?? null,
    seconds_left: state === 'running' ? secondsLeft(recent) : null,
    restarts: status.restarts,
    waits_for: state === 'done' ? [] : around.waitsFor,
    last_error: hasLeft ? `its Slurm job ${job} left the queue before it began` : status.last_error,
    to_do: failing || state === 'stopped' ? toDo(state, kept ?? 0, status.hint) : null,
    log: existsSync(log) ? log : null,
    host: begun && status.since !== null ? status.host : null,
    ...{ pid: status.pid, job, since: status.since },
  };
}

function stateOf(status: FoundStatus, { job, queue }: Circumstances): StandState {
  const { state } = status;
  if (state === 'done' || state === 'running') return state;
  const neverBegan = state === 'waiting' && status.since === null;
  if (job !== undefined) {
    // Not asked, the scheduler may have what never began; what began and ended is told by the folder.
    if (queue === undefined ? neverBegan : queue.has(job.job)) {
      return status.isLost && queue?.get(job.job)?.state === 'RUNNING' ? 'restarting' : 'queued';
    }
    if (neverBegan) return 'stopped';
  }
  if (state === 'interrupted') return status.isLost ? 'lost' : 'stopped';
  return state;
}

function toDo(state: StandState, step: number, hint: string | undefined): string {
  const from =
    step > 0 ? `goes on from its checkpoint of step ${step.toLocaleString('en-US')}` : 'begins anew';
  if (state === 'restarting') return `nothing: it ${from} by itself`;
  if (state === 'failed') return `${hint ?? 'see its log'}; after that run again: it ${from}`;
  return `run again: it ${from}`;
}

function secondsLeft(recent: readonly StepRecord[]): number | null {
  const [first, last] = [recent[0], recent.at(-1)];
  if (first === undefined || last === undefined) return null;
  const perStep =
    last.step > first.step
      ? (last.seconds - first.seconds) / (last.step - first.step)
      : last.seconds / Math.max(last.step, 1);
  return Math.max(0, last.steps - last.step) * perStep;
}

interface PlannedPhase {
  readonly phase: string;
  readonly steps: number | null;
  readonly needs: readonly string[];
}

/** Of `plan.json`; where that is missing, of the folders there are. */
function plannedPhases(runDir: string): PlannedPhase[] {
  const { plan } = runFolder(runDir);
  if (!existsSync(plan)) return phasesIn(runDir).map((phase) => ({ phase, steps: null, needs: [] }));
  const { phases }: { phases?: unknown } = Object(readJson(plan));
  if (!Array.isArray(phases)) throw new InputError(`${plan} is no plan: it has no phases`);
  return phases.map((entry) => {
    const { phase, steps, needs } = Object(entry);
    return {
      phase: String(phase),
      steps: typeof steps === 'number' ? steps : null,
      needs: Array.isArray(needs) ? needs.map(String) : [],
    };
  });
}
