import { existsSync, statSync } from 'node:fs';
import { availableCores } from '../../base/cores.js';
import { DeepIncubationError, errorText, InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { asFileError, asLostResource, requireThere, tooManyOpen } from '../../files/file-errors.js';
import { type OwnRecord, ownRecord } from '../../launch/own-record.js';
import type { FailureKind, failureMessage } from '../../launch/phase-process.js';
import { prepareRun } from '../../launch/prepare.js';
import { endWithParent } from '../../launch/processes/orphan-guard.js';
import { createProgressSender } from '../../launch/processes/process-watch.js';
import { recipeOfRun, requireSameRecipe, writtenRecipeOf } from '../../launch/run-recipe.js';
import { keepWeights } from '../../launch/start/start-copy-write.js';
import { incubateTogether } from '../../launch/together/incubate-together.js';
import { runRecipePhase } from '../../library/run-recipe.js';
import { changedThreads } from '../../phase/changed-threads.js';
import { openLog } from '../../phase/observe/phase-log.js';
import type { PhaseRun } from '../../phase/run-phase.js';
import { compile, phaseNamed, phasesNamed } from '../../recipe/compile.js';
import { needsOf, type Phase, type PhaseName, withNeeds } from '../../recipe/phase.js';
import { readRecipeInput, type WrittenRecipe } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { labelledScore } from '../../run/metric.js';
import { readResult, runFolder } from '../../run/run-folder.js';
import { metricsOfRecipe } from '../../tasks/metrics.js';
import { engineInfo, resolveDevice, setThreads, useDevice } from '../../torch/engine.js';
import { GpuError } from '../../torch/errors.js';
import { joinGroup, type ProcessGroup } from '../../training/distributed/process-group.js';
import { isLaunched, LostRank, rankIn, ranksHere } from '../../training/distributed/rank.js';
import { explain, Stopped } from '../terminal/failure.js';
import { note, print } from '../terminal/output.js';
import { stopOnSignals } from '../terminal/signals.js';
import { defaultFolder, list } from './common-options.js';
import { startedRecipe } from './start.js';

interface PhaseOptions {
  readonly out?: string;
  readonly set?: readonly string[];
  readonly threads?: number;
  readonly device?: string;
  readonly force?: true;
  readonly acceptDataChange?: true;
}

/**
 * `phase`: runs one phase, or several modules together, in this process. A launcher may have started further processes that train
 * the same phase. Reports a failure to the parent process.
 */
export async function runOnePhase(recipeOrRun: string, name: string, options: PhaseOptions): Promise<void> {
  // If the supervisor dies, this process must exit too: nobody would know of it, and a second one might be started in its place.
  const guard = process.connected ? endWithParent() : undefined;
  using stop = stopOnSignals({ isLaunched: isLaunched(process.env) });
  let phases: readonly PhaseName[] = [];
  let group: ProcessGroup | undefined;
  let records: readonly OwnRecord[] = [];
  let runDir = options.out ?? recipeOrRun;
  // The supervisor has already written to the run folder.
  let isUnderWay = process.connected === true;
  try {
    if (isUnderWay) requireThere(runDir);
    const opened = openRun(recipeOrRun, options);
    const given = opened.recipe;
    runDir = opened.runDir;
    phases = phasesNamed(compile(given), list(name));
    if (process.send === undefined) records = phases.map((phase) => ownRecord(runDir, phase, process.env));
    const threads = options.threads ?? threadsOf(given);
    setThreads(threads);
    if (process.send === undefined) {
      for (const phase of phases) {
        const changed = changedThreads(runDir, phase, threads);
        if (changed !== undefined) note(changed);
      }
    }
    const device = deviceOf(options.device ?? given.run.device);
    // This must happen before NCCL starts.
    useDevice(device);
    group = joinGroup(process.env, { device, name: `${phases[0]}.${attempt()}` });
    requireOnePhaseOrProcess(phases, group);
    const { acceptDataChange } = options;
    const prepared = opened.isPrepared
      ? given
      : await prepare(opened.written, runDir, { group, acceptDataChange });
    for (const phase of phases) requireDone(compile(given), phase, runDir);

    // Other processes on this machine need cores too.
    const workers = group !== undefined && given.run.workers === 'auto' ? threads : given.run.workers;
    const recipe = { ...prepared, run: { ...given.run, workers } };
    const onProgress = createProgressSender();
    if ((group?.rank ?? 0) === 0) for (const record of records) record.running();
    const run: Omit<PhaseRun, 'phase' | 'given'> = {
      runDir,
      device,
      onProgress,
      signal: stop.signal,
      force: options.force,
      acceptDataChange,
      note,
    };
    const [phase] = phases;
    isUnderWay = true;
    const compiled = compile(recipe).filter(({ name }) => phases.includes(name));
    if (phases.length > 1) requireSameRecipe(runDir, recipe);
    const results =
      phases.length > 1
        ? await incubateTogether(run, compiled)
        : [await runRecipePhase({ ...run, recipe, phase, group })];
    group?.barrier();
    if (process.send === undefined && (group?.rank ?? 0) === 0) {
      for (const record of records) record.done();
      const { primary } = metricsOfRecipe(recipe);
      for (const result of results) {
        print(
          `${result.phase}: ${labelledScore(primary, result)}, ${runFolder(runDir).phase(result.phase).root}`,
        );
      }
    }
  } catch (error) {
    const fileError = asFileError(error, runDir);
    const failure = stop.blame(
      isUnderWay ? asLostResource(fileError) : (tooManyOpen(fileError) ?? fileError),
    );
    const isOthers = failure instanceof LostRank || ((group?.rank ?? 0) > 0 && failure instanceof Stopped);
    if (!isOthers) {
      for (const phase of phases) log(runDir, phase, failure);
      for (const record of records) {
        if (failure instanceof Stopped) record.stopped();
        else record.failed(failure);
      }
    }
    // If another rank is lost, that rank reports the cause, unless it died.
    if (!(failure instanceof LostRank)) await tellSupervisor(failure);
    throw failure;
  } finally {
    group?.close();
    guard?.[Symbol.dispose]();
    if (process.connected) process.disconnect?.();
  }
}

/** Opens the run in a folder, or the run of a recipe file, whose folder may not exist yet. */
function openRun(recipeOrRun: string, { out, set }: PhaseOptions) {
  if (!existsSync(recipeOrRun) || !statSync(recipeOrRun).isDirectory()) {
    const written = readRecipeInput(recipeOrRun, set);
    const { recipe } = written;
    return { recipe, written, runDir: out ?? defaultFolder(recipe), isPrepared: false };
  }
  if (out !== undefined || set !== undefined) {
    throw new InputError(`${recipeOrRun} is a run: it already has a recipe and a folder`, {
      hint: 'use --out and --set only with a recipe file',
    });
  }
  const written = writtenRecipeOf(recipeOrRun);
  return { recipe: written.recipe, written, runDir: recipeOrRun, isPrepared: true };
}

/** @returns the recipe, completed by rank 0 from the weights that it starts from */
async function prepare(
  written: WrittenRecipe,
  runDir: string,
  { group, acceptDataChange }: { group: ProcessGroup | undefined; acceptDataChange: true | undefined },
): Promise<Recipe> {
  if (group === undefined || group.rank === 0) {
    const { recipe, weights } = await startedRecipe(written, runDir);
    prepareRun(recipe, runDir, { acceptDataChange, note });
    keepWeights(runDir, weights);
  }
  group?.barrier();
  if (existsSync(runFolder(runDir).recipe)) return recipeOfRun(runDir);
  throw new InputError(`${runDir}: rank 0 created this folder, but rank ${group?.rank} cannot see it`, {
    hint: 'the run folder must be on a disk that all machines share',
  });
}

function requireOnePhaseOrProcess(phases: readonly PhaseName[], group: ProcessGroup | undefined): void {
  if (phases.length === 1 || group === undefined) return;
  throw new InputError(
    `${phases.join(', ')}: processes that train together can only train one phase at a time`,
    {
      hint: 'name one phase, or start only one process',
    },
  );
}

function requireDone(all: readonly Phase[], name: PhaseName, runDir: string): void {
  const isDone = (phase: PhaseName) => readResult(runDir, phase) !== undefined;
  const missing = needsOf(phaseNamed(all, name)).filter((need) => !isDone(need));
  if (missing.length === 0) return;
  const before = withNeeds(all, missing, isDone);
  throw new InputError(`${name} starts from ${missing.join(', ')}, which is not done in ${runDir}`, {
    hint: `train it first: ${ownCommand('run', runDir, '--only', before.join(','))}`,
  });
}

function threadsOf({ run }: Recipe): number {
  if (run.threads !== 'auto') return run.threads;
  return Math.max(1, Math.floor(availableCores() / ranksHere(process.env)));
}

/** One GPU per process of this machine, unless a specific device is given. */
function deviceOf(wish: string): string {
  const place = rankIn(process.env);
  const { cudaDevices } = engineInfo();
  if (place === undefined || cudaDevices === 0 || (wish !== 'auto' && wish !== 'cuda')) {
    return resolveDevice(wish);
  }
  return `cuda:${place.localRank % cudaDevices}`;
}

/** torchrun's store survives restarts of the processes, so each attempt needs its own name. */
function attempt(): string {
  return process.env.TORCHELASTIC_RESTART_COUNT ?? '0';
}

function kindOf(failure: unknown): FailureKind {
  if (failure instanceof Stopped) return 'interrupted';
  if (failure instanceof GpuError) return 'crash';
  return failure instanceof InputError ? 'input' : 'run';
}

/** Writes the full error to the phase's log, including the stack of a defect. */
function log(runDir: string, name: PhaseName, failure: unknown): void {
  const { root, log: path } = runFolder(runDir).phase(name);
  if (!existsSync(root)) return;
  try {
    openLog(path)(explain(failure, { DEEP_INCUBATION_DEBUG: '1' }).trimEnd());
  } catch {
    // The failure may be a failed write itself. It must be reported anyway.
  }
}

function tellSupervisor(failure: unknown): Promise<void> {
  const message: ReturnType<typeof failureMessage.parse> = {
    type: 'failed',
    kind: kindOf(failure),
    message: errorText(failure),
    ...(failure instanceof DeepIncubationError && failure.hint !== undefined && { hint: failure.hint }),
  };
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(message, undefined, undefined, () => resolve());
  });
}
