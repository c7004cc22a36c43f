import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { InputError } from '../../base/errors.js';
import { ownCommand } from '../../base/shell.js';
import { holdRun } from '../../launch/hold-run.js';
import { kubernetesYaml } from '../../launch/kubernetes-jobs.js';
import { reopenLost } from '../../launch/lost-weights.js';
import { prepareRun } from '../../launch/prepare.js';
import { isChangedRecipe } from '../../launch/run-recipe.js';
import { type SlurmJob, slurmFolder } from '../../launch/slurm/slurm-jobs.js';
import { phaseJobs, submitRun } from '../../launch/slurm-run.js';
import { keepWeights } from '../../launch/start/start-copy-write.js';
import { compile } from '../../recipe/compile.js';
import type { Phase, PhaseName } from '../../recipe/phase.js';
import type { WrittenRecipe } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { readResult, runFolder } from '../../run/run-folder.js';
import { note, print, printJson } from '../terminal/output.js';
import { startedRecipe } from './start.js';

export type Launcher = 'local' | 'slurm' | 'kubernetes';

export interface Launch {
  readonly recipe: Recipe;
  /** The recipe with the user's own input, before the weights that it starts from are read. */
  readonly written: WrittenRecipe;
  readonly runDir: string;
  readonly only: readonly PhaseName[] | undefined;
  readonly options: {
    readonly quiet?: true;
    readonly json?: true;
    readonly force?: true;
    readonly acceptDataChange?: true;
  };
}

const MAIN = fileURLToPath(new URL('../main.js', import.meta.url));

/** The command that starts a phase's process, with the options of `run` that apply to every phase. */
export function phaseCommand(options: Pick<Launch['options'], 'force' | 'acceptDataChange'>): string[] {
  return [process.execPath, MAIN, 'phase', ...phaseFlags(options)];
}

function phaseFlags({ force, acceptDataChange }: Parameters<typeof phaseCommand>[0]): string[] {
  return [...(force ? ['--force'] : []), ...(acceptDataChange ? ['--accept-data-change'] : [])];
}

/** `--dry-run`: prints the input for a launcher. Writes nothing. `given`: recipe file or run. */
export function printLaunch(
  given: string,
  launcher: Launcher,
  { recipe, runDir, only, options }: Launch,
): void {
  const phases = wanted(recipe, only).filter(({ name }) => readResult(runDir, name) === undefined);
  if (launcher === 'local') {
    throw new InputError('--dry-run prints the job files of a launcher; --launcher local has none', {
      hint: `to see what a run will do: ${ownCommand('plan', isRun(given) ? runFolder(given).recipe : given)}`,
    });
  }
  if (launcher === 'kubernetes') {
    print(kubernetesYaml({ recipe, runDir, phases, flags: phaseFlags(options) }).trimEnd());
    return;
  }
  for (const { file, needs, text } of phaseJobs({ recipe, runDir, phases, command: phaseCommand(options) })) {
    const after = needs.length === 0 ? '' : `, after ${needs.join(', ')}`;
    print(`# ${resolve(slurmFolder(runDir), file)}${after}`, text);
  }
}

function isRun(path: string): boolean {
  return statSync(path).isDirectory();
}

/** Whether all requested phases are done and the recipe is unchanged, so that nothing has to be submitted. */
export function isAllDone(recipe: Recipe, runDir: string, only: readonly PhaseName[] | undefined): boolean {
  return (
    existsSync(runFolder(runDir).recipe) &&
    !isChangedRecipe(runDir, recipe) &&
    wanted(recipe, only).every(({ name }) => readResult(runDir, name) !== undefined)
  );
}

/** Submits a run to Slurm and returns without waiting for it. */
export async function launchOnSlurm(launch: Launch): Promise<void> {
  const { runDir, options } = launch;
  const lock = await holdRun(runDir);
  const jobs = await submit(launch).finally(lock.release);
  if (options.json) {
    printJson({ run: runDir, submitted: jobs });
    return;
  }
  for (const { phase, job } of jobs) print(`${phase.padEnd(5)} job ${job}`);
  if (options.quiet) return;
  if (jobs.length === 0) note('Nothing to submit: all phases are done or already submitted.');
  note(`Progress: ${ownCommand('status', runDir)}`);
}

/** Runs all possible checks, writes the run's recipe and plan, and submits unfinished phases to Slurm. */
async function submit({ written, runDir, only, options }: Launch): Promise<SlurmJob[]> {
  const { recipe, weights } = await startedRecipe(written, runDir, { quiet: options.quiet });
  prepareRun(recipe, runDir, { acceptDataChange: options.acceptDataChange, note });
  keepWeights(runDir, weights);
  reopenLost({ phases: compile(recipe), runDir, only }, note);
  return submitRun({ recipe, runDir, command: phaseCommand(options), phases: wanted(recipe, only) });
}

/** @param given recipe file or run */
export function refuseKubernetes(given: string): never {
  throw new InputError('--launcher kubernetes needs --dry-run: it prints the jobs, and does not start them', {
    hint: `${ownCommand('run', given, '--launcher', 'kubernetes', '--dry-run')} | kubectl apply -f -`,
  });
}

function wanted(recipe: Recipe, only: readonly PhaseName[] | undefined): Phase[] {
  const phases = compile(recipe);
  // Always in the order of the phases, not in the order of `only`.
  return only === undefined ? phases : phases.filter(({ name }) => only.includes(name));
}
