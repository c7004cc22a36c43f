import { existsSync, statSync } from 'node:fs';
import { InputError } from '../../base/errors.js';
import { passedOverLine } from '../../data/passed-over.js';
import { asLostResource, requireThere } from '../../files/file-errors.js';
import { holdRun, removeRunLeftovers } from '../../launch/hold-run.js';
import { reopenLost } from '../../launch/lost-weights.js';
import { runPipeline } from '../../launch/pipeline.js';
import { type PreparedRun, prepareRun } from '../../launch/prepare.js';
import { recordedRecipe, writtenRecipeOf } from '../../launch/run-recipe.js';
import { requireNoJobs } from '../../launch/slurm/slurm-jobs.js';
import { givenWeights } from '../../launch/start/given-weights.js';
import { keepWeights } from '../../launch/start/start-copy-write.js';
import { type Conclusion, concludeRun } from '../../library/conclude-run.js';
import { startTracking } from '../../library/track-run.js';
import { requireReadableImages } from '../../phase/images/readable-images.js';
import { requireOneParent } from '../../phase/one-parent.js';
import { compile, phasesNamed } from '../../recipe/compile.js';
import type { Phase, PhaseName } from '../../recipe/phase.js';
import { readRecipeInput, type WrittenRecipe } from '../../recipe/recipe.js';
import { newestStep } from '../../run/checkpoint-store.js';
import { hasBegun, runFolder } from '../../run/run-folder.js';
import { createProgress } from '../progress/progress.js';
import { progressLine } from '../terminal/live-block.js';
import { note, print, printJson } from '../terminal/output.js';
import { stopOnSignals } from '../terminal/signals.js';
import { defaultFolder } from './common-options.js';
import {
  isAllDone,
  type Launch,
  type Launcher,
  launchOnSlurm,
  phaseCommand,
  printLaunch,
  refuseKubernetes,
} from './launch.js';
import { noteClassesFound, startedRecipe } from './start.js';

interface RunOptions {
  readonly out?: string;
  readonly set?: readonly string[];
  readonly only?: readonly string[];
  readonly force?: true;
  readonly acceptDataChange?: true;
  readonly quiet?: true;
  readonly json?: true;
  readonly launcher?: Launcher;
  readonly dryRun?: true;
}

const TICK_MS = 250;

/** `run`: trains the unfinished phases, then writes the summary and the report. */
export async function run(recipeOrRun: string, options: RunOptions): Promise<void> {
  const { written, runDir } = openRun(recipeOrRun, options);
  const { recipe } = written;
  const only = options.only && phasesNamed(compile(recipe), options.only);
  const launch = { recipe, written, runDir, only, options };
  if (options.dryRun) return printLaunch(recipeOrRun, options.launcher ?? 'local', launch);
  if (options.launcher === 'kubernetes') refuseKubernetes(recipeOrRun);
  // The summary of a finished run is written here, even if Slurm trained it.
  if (options.launcher === 'slurm' && !isAllDone(recipe, runDir, only)) return launchOnSlurm(launch);
  const { ran, summary, way, report, notes } = await trainRun(launch);

  if (options.json) {
    printJson({ ...summary, run: runDir, report, phases_run: ran });
    return;
  }
  const { table } = await import('../../report/summary-text.js');
  if (!options.quiet) {
    for (const line of notes) note(line);
    if (ran.length === 0) note('Nothing to train: all requested phases are done.');
  }
  print('', table(summary, process.stdout.columns, way).trimEnd(), '', `Report: ${report}`);
}

/** Trains the unfinished phases of a run on this machine, and writes its summary and report. */
export async function trainRun(
  launch: Launch & { readonly options: RunOptions },
): Promise<Conclusion & { readonly ran: PhaseName[] }> {
  // If another process holds the run, nothing may be written, not even the recipe.
  const lock = await holdRun(launch.runDir);
  return prepare(launch)
    .then((prepared) => trainAndConclude(prepared, launch.only, launch.options))
    .finally(lock.release);
}

/** Opens the run in a folder, or the run of a recipe file, whose folder may not exist yet. */
export function openRun(
  recipeOrRun: string,
  { out, set, quiet }: Pick<RunOptions, 'out' | 'set' | 'quiet'>,
): { written: WrittenRecipe; runDir: string } {
  if (!existsSync(recipeOrRun) || !statSync(recipeOrRun).isDirectory()) {
    const given = readRecipeInput(recipeOrRun, set);
    if (!quiet) noteClassesFound(given);
    const runDir = out ?? defaultFolder(given.recipe);
    return { written: recordedRecipe(given, runDir), runDir };
  }
  if (out === undefined) return { written: writtenRecipeOf(recipeOrRun, set), runDir: recipeOrRun };
  throw new InputError(`${recipeOrRun} is a run: it already has a folder`, {
    hint: 'use --out only with a recipe file',
  });
}

/** Runs all possible checks before hours are spent, and writes the run's recipe and plan. */
async function prepare({
  written,
  runDir,
  only,
  options,
}: Launch & { readonly options: RunOptions }): Promise<PreparedRun> {
  if (!isAllDone(written.recipe, runDir, only))
    await requireNoJobs(runDir, note, '--launcher slurm skips submitted phases');
  const { recipe, weights } = await startedRecipe(written, runDir, { quiet: options.quiet });
  const phases = compile(recipe);
  if (hasBegun(runDir)) await checkParents(phases, runDir, only, options.force);
  const prepared = prepareRun(recipe, runDir, { acceptDataChange: options.acceptDataChange, note });
  keepWeights(runDir, weights);
  if (!options.quiet) for (const each of prepared.passedOver) note(passedOverLine(each));
  // With Slurm, this point is only reached if all phases are done, so nothing is trained on this machine.
  if (options.launcher !== 'slurm') reopenLost({ phases, runDir, only }, note);
  if (!isAllDone(recipe, runDir, only)) await checkImagesOnce(phases[0], runDir, options.quiet);
  return prepared;
}

/** Checks the images with a progress line on a terminal. */
async function checkImagesOnce(phase: Phase, runDir: string, quiet: boolean | undefined): Promise<void> {
  const progress = progressLine(process.stderr, 'evaluation images checked');
  const onProgress = quiet ? undefined : progress.show;
  await requireReadableImages(phase, runDir, { onProgress }).finally(progress.clear);
}

/** Checks the phases that FT will be assembled from, as far as they exist, before hours are spent on training. */
async function checkParents(
  phases: readonly Phase[],
  runDir: string,
  only: readonly PhaseName[] | undefined,
  force: boolean | undefined,
): Promise<void> {
  const assembled = phases.find(({ name }) => name === 'FT');
  if (assembled === undefined || !(only?.includes('FT') ?? true)) return;
  const isBegun = newestStep(runFolder(runDir).phase('FT').root) > 0;
  if (!isBegun) await requireOneParent(assembled, { runDir, given: givenWeights }, { force, note });
}

async function trainAndConclude(
  prepared: PreparedRun,
  only: readonly PhaseName[] | undefined,
  options: RunOptions,
): Promise<Conclusion & { readonly ran: PhaseName[] }> {
  try {
    removeRunLeftovers(prepared.runDir);
    const ran = await train(prepared, only, options);
    requireThere(prepared.runDir);
    return { ran, ...(await concludeRun(prepared)) };
  } catch (error) {
    throw asLostResource(error);
  }
}

async function train(
  prepared: PreparedRun,
  only: readonly PhaseName[] | undefined,
  options: RunOptions,
): Promise<PhaseName[]> {
  const { runDir, plan } = prepared;
  const progress = createProgress({
    runDir,
    phases: only ?? plan.phases.map(({ phase }) => phase),
    stream: process.stderr,
    isTTY: process.stderr.isTTY ?? false,
    now: () => performance.now(),
    quiet: options.quiet ?? false,
  });
  using stop = stopOnSignals({
    onStop: () => progress.note('stopping after a checkpoint is saved; a second Ctrl-C stops at once'),
  });
  const ticking = setInterval(progress.tick, TICK_MS);
  const tracking = await startTracking(prepared, progress.note);
  try {
    return await runPipeline({
      prepared,
      ...(only && { only }),
      command: phaseCommand(options),
      signal: stop.signal,
      note: progress.note,
    });
  } catch (error) {
    throw stop.blame(error, 'the same command resumes it');
  } finally {
    await tracking.end();
    clearInterval(ticking);
    progress.stop();
  }
}
