import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../base/errors.js';
import { newestStep } from '../checkpoint/checkpoint-store.js';
import { liveHolder } from '../checkpoint/folder-lock.js';
import { readMetrics } from '../checkpoint/metrics-log.js';
import { type FoundStatus, readStatus } from '../checkpoint/phase-status.js';
import type { StepRecord } from '../checkpoint/records.js';
import { phasesIn, readJson, readResult, runFolder } from '../checkpoint/run-folder.js';
import { outputOf, readJobs, type SlurmJob } from '../cluster/slurm-jobs.js';
import type { QueuedJob } from '../cluster/slurm-queue.js';
import { quoted } from '../cluster/slurm-script.js';
import type { PhaseStand, RunStand, StandState } from './run-stand.js';

/**
 * How a run stands, from its folder alone; whether a process lives is asked of the system on the same machine.
 * @param queue what the scheduler still has, by job; left out where it was not asked
 * @throws InputError where the folder is no run's, or a file of it is damaged
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/standing');
 * const { state, command, phases } = runStand('runs/standing');
 * console.log(state, command, phases.map(({ phase, step }) => `${phase}: ${step}`));
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
  const report = join(folder.report, 'index.html');
  return {
    run: runDir,
    name: typeof name === 'string' ? name : 'run',
    state: ORDER.find((state) => phases.some((phase) => phase.state === state)) ?? 'done',
    supervisor: holder === undefined ? null : { pid: holder.pid, host: holder.host },
    command: needsCommand(phases, folder.summary, holder !== undefined)
      ? `deep-incubation run ${quoted(runDir)}${jobs.size > 0 ? ' --launcher slurm' : ''}`
      : null,
    report: existsSync(report) ? report : null,
    phases,
  };
}

/** Whether somebody must give `run` for all of it to be done. */
function needsCommand(phases: readonly PhaseStand[], summary: string, isSupervised: boolean): boolean {
  const are = (...states: StandState[]) => phases.some(({ state }) => states.includes(state));
  if (are('failed', 'lost', 'stopped')) return true;
  if (isSupervised || are('running', 'queued', 'restarting')) return false;
  return are('waiting') || !existsSync(summary);
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
  const printed = job === null ? undefined : outputOf(root, job);
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
    last_error: hasLeft ? leftError(job, printed) : status.last_error,
    to_do: failing || state === 'stopped' ? toDo(state, kept ?? 0, status) : null,
    log: existsSync(log) ? log : (printed ?? null),
    host: begun && status.since !== null ? status.host : null,
    ...{ pid: status.pid, job, since: status.since },
    next_start: state === 'restarting' ? (status.next_start ?? null) : null,
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

function toDo(state: StandState, step: number, { hint, next_start: next }: FoundStatus): string {
  const from =
    step > 0 ? `goes on from its checkpoint of step ${step.toLocaleString('en-US')}` : 'begins anew';
  if (state === 'restarting') return `nothing: ${restart(next)}it ${from} by itself`;
  if (state === 'failed') return `${hint ?? 'see its log'}; after that run again: it ${from}`;
  return `run again: it ${from}`;
}

function leftError(job: string, printed: string | undefined): string {
  const how = printed === undefined ? 'left the queue before it began' : 'ended before it began to train';
  return `its Slurm job ${job} ${how}`;
}

function restart(next: string | undefined): string {
  const seconds = next === undefined ? 0 : (Date.parse(next) - Date.now()) / 1000;
  return seconds > 0 ? `in ${Math.ceil(seconds)} s ` : '';
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
