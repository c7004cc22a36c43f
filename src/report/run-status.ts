import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { liveHolder } from '../files/folder-lock.js';
import { recipeOfRun } from '../launch/run-recipe.js';
import { outputOf, type QueuedJob, readJobs } from '../launch/slurm/slurm-jobs.js';
import { compile } from '../recipe/compile.js';
import { needsOf } from '../recipe/phase.js';
import { type Metric, scoreOf } from '../run/metric.js';
import { readMetrics } from '../run/metrics-log.js';
import type { Status } from '../run/phase-status.js';
import { RECENT, secondsLeft } from '../run/records.js';
import { phasesIn, readJsonObject, readResult, requireRun, runFolder } from '../run/run-folder.js';
import { metricsOfRecipe } from '../tasks/metrics.js';
import {
  type Circumstances,
  type PhaseOverview,
  type PlannedPhase,
  phaseCondition,
  plannedPhases,
  type RunStatus,
  runName,
  runState,
} from './phase-condition.js';
import { type EtaPhase, parallelOf, runSecondsLeft } from './run-eta.js';

/**
 * The state of a run, read from its folder. Whether a process is alive is checked on the same machine only.
 * @param queue jobs that are still in the scheduler's queue, by id; undefined if the scheduler was not queried
 * @throws InputError if the folder is not a run folder, or one of its files is damaged
 *
 * @example
 * const recipe = readRecipe('recipe.yaml');
 * prepareRun(recipe, 'runs/mine');
 * const { state, command, phases } = readRunStatus('runs/mine');
 * console.log(state, command, phases.map(({ phase, step }) => `${phase}: ${step}`));
 */
export function readRunStatus(runDir: string, queue?: ReadonlyMap<string, QueuedJob>): RunStatus {
  const folder = runFolder(runDir);
  requireRun(runDir);
  const recipe = readJsonObject(folder.recipe);
  const { primary } = metricsOfRecipe(recipe, folder.recipe);
  const jobs = new Map(readJobs(runDir).map((job) => [job.phase, job]));
  const stands = phasesOf(runDir).map((planned) =>
    phaseStand(runDir, planned, { job: jobs.get(planned.phase), queue, primary }),
  );
  const phases = stands.map(({ overview }) => overview);
  const holder = liveHolder(runDir);
  const report = join(folder.report, 'index.html');
  return {
    run: runDir,
    name: runName(recipe, runDir),
    primary,
    state: runState(phases.map(({ state }) => state)),
    supervisor: holder === undefined ? null : { pid: holder.pid, host: holder.host },
    command: needsCommand(phases, folder.summary, holder !== undefined)
      ? ownCommand('run', runDir, ...(jobs.size > 0 ? ['--launcher', 'slurm'] : []))
      : null,
    report: existsSync(report) ? report : null,
    seconds_left: runSecondsLeft(
      stands.map(({ overview, spent }) => ({ ...overview, ...spent })),
      parallelOf(recipe),
    ),
    phases,
  };
}

/** Whether the user must start `run` to finish the run. */
function needsCommand(phases: readonly PhaseOverview[], summary: string, isSupervised: boolean): boolean {
  const are = (...states: Status[]) => phases.some(({ state }) => states.includes(state));
  if (are('failed', 'lost', 'stopped')) return true;
  if (isSupervised || are('running', 'queued', 'restarting')) return false;
  return are('waiting') || !existsSync(summary);
}

function phaseStand(
  runDir: string,
  { phase, steps, needs, block_passes: planned = 0 }: KnownPhase,
  { primary, ...around }: Pick<Circumstances, 'job' | 'queue'> & { readonly primary: Metric },
): PhaseStand {
  const { root, log, metrics } = runFolder(runDir).phase(phase);
  const records = readMetrics(metrics);
  const recent = records.filter((record) => record.kind === 'step').slice(-RECENT);
  const last = recent.at(-1);
  const result = readResult(runDir, phase, [primary]);
  const scored = result ?? records.findLast((record) => record.kind === 'eval');
  const condition = phaseCondition(runDir, phase, { ...around, needs, hasBegun: records.length > 0 });
  const { seconds = 0, block_passes = 0 } = result ?? last ?? {};
  const overview = {
    ...condition,
    step: result?.steps ?? last?.step ?? 0,
    steps: last?.steps ?? steps,
    loss: last?.loss ?? null,
    [primary.name]: scored === undefined ? null : scoreOf(scored, primary),
    images_per_second: last?.images_per_second ?? null,
    seconds_left: condition.state === 'running' ? secondsLeft(recent[0], last, last?.steps ?? 0) : null,
    log: existsSync(log) ? log : ((condition.job && outputOf(root, condition.job)) ?? null),
  };
  return { overview, spent: { seconds, block_passes, planned_block_passes: planned } };
}

/** A phase of `plan.json`; without a plan, its cost is unknown. */
type KnownPhase = Pick<PlannedPhase, 'phase' | 'steps' | 'needs'> &
  Partial<Pick<PlannedPhase, 'block_passes'>>;

interface PhaseStand {
  readonly overview: PhaseOverview;
  readonly spent: Pick<EtaPhase, 'seconds' | 'block_passes' | 'planned_block_passes'>;
}

/**
 * The phases in `plan.json`; without a plan, those of the recipe; if the recipe is invalid in this version, the existing folders.
 */
function phasesOf(runDir: string): KnownPhase[] {
  const { plan } = runFolder(runDir);
  if (!existsSync(plan)) return unplannedPhases(runDir);
  const planned = plannedPhases(readJsonObject(plan));
  if (planned === undefined) {
    throw new InputError(`${plan} is not a valid plan: it has no phases`, {
      hint: `delete it, then write it again with: ${ownCommand('run', runDir)}`,
    });
  }
  return planned;
}

function unplannedPhases(runDir: string): ReturnType<typeof phasesOf> {
  try {
    const phases = compile(recipeOfRun(runDir));
    return phases.map((phase) => ({ phase: phase.name, steps: null, needs: needsOf(phase) }));
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return phasesIn(runDir).map((phase) => ({ phase, steps: null, needs: [] }));
  }
}
