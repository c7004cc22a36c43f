import { existsSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import { liveHolder } from '../checkpoint/folder-lock.js';
import { readMetrics } from '../checkpoint/metrics-log.js';
import { phasesIn, readJson, readResult, runFolder } from '../checkpoint/run-folder.js';
import { readJobs } from '../cluster/slurm-jobs.js';
import type { QueuedJob } from '../cluster/slurm-queue.js';
import {
  type Circumstances,
  type PhaseCondition,
  type PlannedPhase,
  phaseCondition,
  plannedPhases,
  RECENT,
  runName,
  runState,
  type StandState,
  secondsLeft,
} from './phase-condition.js';

/** How one phase stands. */
export interface PhaseStand extends PhaseCondition {
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
  /** The phase's log, once it has begun. */
  readonly log: string | null;
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
  const jobs = new Map(readJobs(runDir).map((job) => [job.phase, job]));
  const phases = phasesOf(runDir).map((planned) =>
    phaseStand(runDir, planned, { job: jobs.get(planned.phase), queue }),
  );
  const holder = liveHolder(runDir);
  return {
    run: runDir,
    name: runName(readJson(folder.recipe), runDir),
    state: runState(phases.map(({ state }) => state)),
    supervisor: holder === undefined ? null : { pid: holder.pid, host: holder.host },
    phases,
  };
}

function phaseStand(
  runDir: string,
  { phase, steps, needs }: Pick<PlannedPhase, 'phase' | 'steps' | 'needs'>,
  around: Pick<Circumstances, 'job' | 'queue'>,
): PhaseStand {
  const { log, metrics } = runFolder(runDir).phase(phase);
  const records = readMetrics(metrics);
  const recent = records.filter((record) => record.kind === 'step').slice(-RECENT);
  const last = recent.at(-1);
  const result = readResult(runDir, phase);
  const condition = phaseCondition(runDir, phase, { ...around, needs, hasBegun: records.length > 0 });
  return {
    ...condition,
    step: result?.steps ?? last?.step ?? 0,
    steps: last?.steps ?? steps,
    loss: last?.loss ?? null,
    top1: result?.top1 ?? records.findLast((record) => record.kind === 'eval')?.top1 ?? null,
    images_per_second: last?.images_per_second ?? null,
    seconds_left: condition.state === 'running' ? secondsLeft(recent[0], last, last?.steps ?? 0) : null,
    log: existsSync(log) ? log : null,
  };
}

/** Of `plan.json`; where that is missing, of the folders there are. */
function phasesOf(runDir: string): Pick<PlannedPhase, 'phase' | 'steps' | 'needs'>[] {
  const { plan } = runFolder(runDir);
  if (!existsSync(plan)) return phasesIn(runDir).map((phase) => ({ phase, steps: null, needs: [] }));
  const planned = plannedPhases(readJson(plan));
  if (planned === undefined) throw new InputError(`${plan} is no plan: it has no phases`);
  return planned;
}
