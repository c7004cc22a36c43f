import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import { makeFolders, moveFolder, writeJsonAtomic } from '../files/atomic.js';
import { scheduleOf } from '../phase/phase-optimizer.js';
import type { PhasePlan, RunPlan } from '../plan/plan.js';
import { phaseNamed } from '../recipe/compile.js';
import { needsOf, type Phase, type PhaseName } from '../recipe/phase.js';
import { newestManifest, newestStep } from '../run/checkpoint-store.js';
import { readJson, readResult, runFolder } from '../run/run-folder.js';
import { begunPhases, type Change, redoCommand } from './recipe-change.js';
import { forgetJobs } from './slurm/slurm-jobs.js';

/** Effects of a changed number of epochs on phases that have begun. */
interface Continuation {
  /** Changes of the schedules, one line each. */
  readonly notes: readonly string[];
  /** Finished phases that now have steps left. */
  readonly reopened: readonly PhaseName[];
}

/** The phases of a run, and their plan. */
export interface Side {
  readonly phases: readonly Phase[];
  readonly plan: RunPlan;
}

/**
 * Determines how phases that have begun continue with a different number of steps.
 * @throws InputError if another phase has started from a phase that would change, or if that phase has been trained for more
 *   steps or has no optimiser state
 */
export function continuation(
  runDir: string,
  changes: readonly Change[],
  { now, before }: { readonly now: Side; readonly before: Side },
): Continuation {
  const notes: string[] = [];
  const reopened: PhaseName[] = [];
  for (const name of begunPhases(runDir)) {
    const [plan, old] = [now, before].map((side) => side.plan.phases.find(({ phase }) => phase === name));
    if (plan === undefined || old === undefined || plan.steps === old.steps) continue;
    const result = readResult(runDir, name);
    const isAsked = changes.some(({ phases }) => phases.includes(name));
    if (result !== undefined && !isAsked) {
      notes.push(keptLine(runDir, name, result.steps, plan.steps));
      continue;
    }
    const trained = result?.steps ?? newestStep(runFolder(runDir).phase(name).root);
    const { epochs } = phaseNamed(now.phases, name).settings;
    const own = changes.filter(({ phases }) => phases.includes(name));
    const redo = redoCommand(runDir, now.phases, {
      changed: own.flatMap(({ phases }) => phases),
      // A key that the recipe leaves out has a value in the run, which --set must replace.
      settings: own.map(({ key, here }) => `${key}=${here ?? epochs}`),
    });
    const again = redo === undefined ? 'train a new run: choose another --out' : `train again: ${redo}`;
    requireLonger(plan, trained, again);
    requireNoDependents(runDir, now.phases, name, again);
    if (result !== undefined) {
      requireOptimizer(runDir, name, again);
      if (plan.steps > trained) reopened.push(name);
    }
    notes.push(scheduleLine(trained, [now, plan], [before, old]));
  }
  return { notes, reopened };
}

/** Moves the results of phases that have steps left, and the summary and report of the run, to `previous/<n>/`. */
export function reopen(runDir: string, phases: readonly PhaseName[]): void {
  if (phases.length === 0) return;
  const previous = nextPrevious(runDir);
  beginPrevious(runDir, previous);
  for (const name of phases) {
    const [from, to] = [runDir, previous].map((root) => runFolder(root).phase(name).result);
    if (!existsSync(from)) continue;
    makeFolders(dirname(to));
    moveFolder(from, to);
  }
  moveSummary(runDir, previous);
  forgetJobs(runDir, phases);
}

function keptLine(runDir: string, name: PhaseName, steps: number, planned: number): string {
  return (
    `${name} was kept with its ${steps} steps. For as many block-passes as the other phases, it now needs ${planned}. ` +
    `To retrain it: ${ownCommand('redo', runDir, name)}`
  );
}

function requireLonger({ phase, epochs, steps }: PhasePlan, trained: number, again: string): void {
  if (steps >= trained) return;
  throw new InputError(
    `${phase} has been trained for ${trained} steps, but ${rounded(epochs)} epochs are only ${steps}`,
    { hint: `choose more epochs; or ${again}` },
  );
}

function requireNoDependents(runDir: string, phases: readonly Phase[], name: PhaseName, again: string): void {
  const others = phases.filter((phase) => needsOf(phase).includes(name));
  const begun = begunPhases(runDir);
  const started = others.map((phase) => phase.name).filter((other) => begun.includes(other));
  if (started.length === 0) return;
  throw new InputError(`${name} cannot be continued: ${started.join(', ')} started from it`, {
    hint: again,
  });
}

/** A module from a bundle has weights but no optimiser state. */
function requireOptimizer(runDir: string, name: PhaseName, again: string): void {
  const { 'optimizer.safetensors': file } = Object(newestManifest(runFolder(runDir).phase(name).root)?.files);
  if (Object(file).bytes > EMPTY_BYTES) return;
  throw new InputError(`${name} cannot be continued: its checkpoint has no optimiser state`, {
    hint: `it came from a bundle; ${again}`,
  });
}

/** Size of a safetensors file without tensors. */
const EMPTY_BYTES = 16;

function scheduleLine(
  trained: number,
  [{ phases }, plan]: readonly [Side, PhasePlan],
  [{ phases: oldPhases }, old]: readonly [Side, PhasePlan],
): string {
  const name = plan.phase;
  const rate = (phase: Phase, of: PhasePlan, step: number) => scheduleOf(phase, of)(step).toPrecision(3);
  const length = `${name}: ${rounded(plan.epochs)} epochs instead of ${rounded(old.epochs)}, ${plan.steps} steps instead of ${old.steps}`;
  if (plan.steps === trained) return `${length}: already trained`;
  const next = rate(phaseNamed(phases, name), plan, trained);
  const oldPhase = phaseNamed(oldPhases, name);
  const was =
    trained < old.steps
      ? `instead of ${rate(oldPhase, old, trained)}`
      : `after ending at ${rate(oldPhase, old, old.steps - 1)}`;
  return `${length}; from step ${trained + 1} on its learning rate follows the new schedule: ${next}, ${was}`;
}

function rounded(value: number): string {
  return String(Number(value.toFixed(2)));
}

/** The next folder for files that are moved out of the way in a run: `previous/<n>`. */
export function nextPrevious(runDir: string): string {
  const root = join(runDir, 'previous');
  const numbers = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isInteger) : [];
  return join(root, String(Math.max(0, ...numbers) + 1));
}

/** Creates the folder, with a copy of the recipe. */
export function beginPrevious(runDir: string, previous: string): void {
  makeFolders(previous);
  writeJsonAtomic(runFolder(previous).recipe, readJson(runFolder(runDir).recipe));
}

/** Moves the summary and the report, which describe phases that have been moved. The run writes new ones later. */
export function moveSummary(runDir: string, previous: string): void {
  for (const part of ['summary', 'report'] as const) {
    const path = runFolder(runDir)[part];
    if (existsSync(path)) moveFolder(path, runFolder(previous)[part]);
  }
}
