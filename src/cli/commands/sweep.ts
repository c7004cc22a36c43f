import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { InputError, Interrupted, RunError } from '../../base/errors.js';
import { lockFolder } from '../../files/folder-lock.js';
import { openSweep, type SweepPlan, trialFolder } from '../../launch/sweep-folder.js';
import {
  budgetSettings,
  gridTrials,
  halvingRungs,
  randomTrials,
  type SweepKey,
  type SweepMethod,
  sweepKey,
  type Trial,
} from '../../launch/sweep-trials.js';
import { compile } from '../../recipe/compile.js';
import { readRecipeInput } from '../../recipe/recipe.js';
import type { Recipe } from '../../recipe/recipe-schema.js';
import { duration, EVAL_LOSS, TRAIN_TIME } from '../../report/format.js';
import { type Outcome, ownOutcome, type RunSummary } from '../../report/summary.js';
import { isBetter, type Metric, scoreOf, scoreText } from '../../run/metric.js';
import { readJson, runFolder } from '../../run/run-folder.js';
import { metricsOfRecipe, metricsOfRun } from '../../tasks/metrics.js';
import { Stopped } from '../terminal/failure.js';
import { columns, note, print, printJson } from '../terminal/output.js';
import { isAllDone } from './launch.js';
import { openRun, trainRun } from './run.js';

interface SweepOptions {
  readonly set: readonly string[];
  readonly out?: string;
  readonly method: SweepMethod;
  readonly trials?: number;
  readonly eta: number;
  readonly seed: number;
  readonly json?: true;
}

/** The result of a trial in its last round. */
interface TrialResult {
  readonly trial: Trial;
  readonly rung: number;
  readonly run: string;
  /** Undefined if the trial failed. */
  readonly outcome: Outcome | undefined;
  readonly error?: string;
}

/** `sweep`: trains a recipe with different settings, one run for each, and prints a table. Exits with 1 if a trial failed. */
export async function sweep(recipePath: string, options: SweepOptions): Promise<void> {
  const base = readRecipeInput(recipePath);
  const plan = planOf(base.input, options);
  // Invalid settings are reported before anything is trained.
  for (const trial of plan.trials) recipeOf(recipePath, trial);
  const root = options.out ?? join('runs', `${base.recipe.name}-sweep`);
  openSweep(root, plan);
  const lock = await lockFolder(root);
  const results = await trainTrials(recipePath, root, plan).finally(lock.release);
  const metric = metricsOfRecipe(base.recipe).primary;
  const ranked = rankedBy(metric, results);
  if (options.json) printJson(ranked.map((result) => jsonOf(result, metric)));
  else print('', ...tableOf(ranked, metric));
  const failed = results.filter(({ outcome }) => outcome === undefined);
  if (failed.length === 0) return;
  note(`${failed.length} of ${plan.trials.length} trials failed; the same command tries them again`);
  process.exitCode = 1;
}

function planOf(recipe: unknown, { set, method, trials: count, eta, seed }: SweepOptions): SweepPlan {
  const keys = set.map(sweepKey);
  if (method === 'grid' && count !== undefined) {
    throw new InputError('--trials: a grid trains every combination', {
      hint: 'use --method random or halving',
    });
  }
  const trials = trialsOf(keys, method, count, seed);
  const rungs =
    method === 'halving' ? halvingRungs(trials.length, eta) : [{ trials: trials.length, share: 1 }];
  return { method, recipe, trials, rungs };
}

const TRIALS = 10;

function trialsOf(
  keys: readonly SweepKey[],
  method: SweepMethod,
  count: number | undefined,
  seed: number,
): Trial[] {
  const hasRange = keys.some(({ values }) => values.kind !== 'list');
  const isGrid = method === 'grid' || (method === 'halving' && count === undefined && !hasRange);
  return isGrid ? gridTrials(keys) : randomTrials(keys, { count: count ?? TRIALS, seed });
}

function recipeOf(path: string, { settings }: Trial): Recipe {
  return readRecipeInput(path, settings).recipe;
}

async function trainTrials(recipePath: string, root: string, plan: SweepPlan): Promise<TrialResult[]> {
  const last = new Map<string, TrialResult>();
  let trials = plan.trials;
  for (const [rung, { trials: kept, share }] of plan.rungs.entries()) {
    if (rung > 0) trials = best(trials, last, kept);
    for (const [i, trial] of trials.entries()) {
      const run = trialFolder(root, plan, rung, trial);
      const round = plan.rungs.length === 1 ? '' : `round ${rung + 1} of ${plan.rungs.length}, `;
      note(`${round}trial ${i + 1} of ${trials.length}: ${trial.settings.join(' ')} -> ${run}`);
      const recipe = recipeOf(recipePath, trial);
      const settings = [
        ...trial.settings,
        `name=${JSON.stringify(`${recipe.name} ${trial.name}`)}`,
        ...budgetSettings(compile(recipe), Object.keys(recipe.phases.modules ?? {}), share),
      ];
      last.set(trial.name, { trial, rung, run, ...(await trained(recipePath, run, settings)) });
    }
  }
  return plan.trials.flatMap(({ name }) => last.get(name) ?? []);
}

/** The best trials, in the order of their numbers. Failed trials are last. */
function best(trials: readonly Trial[], results: ReadonlyMap<string, TrialResult>, kept: number): Trial[] {
  const found = trials.flatMap(({ name }) => results.get(name) ?? []);
  const [first] = found;
  const metric = metricsOfRun(first.run).primary;
  const chosen = new Set(
    rankedBy(metric, found)
      .filter(({ outcome }) => outcome !== undefined)
      .slice(0, kept)
      .map(({ trial }) => trial.name),
  );
  return trials.filter(({ name }) => chosen.has(name));
}

/** Trains a trial, or reads its result if it is done. */
async function trained(
  recipePath: string,
  run: string,
  set: readonly string[],
): Promise<Pick<TrialResult, 'outcome' | 'error'>> {
  const { written } = openRun(recipePath, { out: run, set, quiet: true });
  const isDone = existsSync(runFolder(run).summary) && isAllDone(written.recipe, run, undefined);
  if (isDone) return { outcome: outcomeOf(readJson(runFolder(run).summary) as RunSummary) };
  try {
    const { summary } = await trainRun({
      recipe: written.recipe,
      written,
      runDir: run,
      only: undefined,
      options: { quiet: true },
    });
    return { outcome: outcomeOf(summary) };
  } catch (error) {
    const isStop = error instanceof Stopped || error instanceof Interrupted;
    if (isStop || !(error instanceof RunError)) throw error;
    note(`failed: ${error.message}`);
    return { outcome: undefined, error: error.message };
  }
}

/** The model of FT; of E2E if the recipe has no FT. */
function outcomeOf(summary: RunSummary): Outcome | undefined {
  return ownOutcome(summary) ?? summary.end_to_end;
}

/** The trials of the last round first, then by score, by loss, and by number. */
function rankedBy(metric: Metric, results: readonly TrialResult[]): TrialResult[] {
  const order = (a: TrialResult, b: TrialResult): number => {
    if (a.rung !== b.rung) return b.rung - a.rung;
    if (a.outcome === undefined || b.outcome === undefined)
      return Number(a.outcome === undefined) - Number(b.outcome === undefined);
    const [one, other] = [scoreOf(a.outcome, metric), scoreOf(b.outcome, metric)];
    return isBetter(metric, one, other)
      ? -1
      : isBetter(metric, other, one)
        ? 1
        : a.outcome.loss - b.outcome.loss;
  };
  return results.toSorted((a, b) => order(a, b) || a.trial.name.localeCompare(b.trial.name));
}

function tableOf(results: readonly TrialResult[], metric: Metric): string[] {
  const hasRungs = results.some(({ rung }) => rung > 0);
  const keys = results[0]?.trial.settings.map((setting) => setting.slice(0, setting.indexOf('='))) ?? [];
  const head = ['trial', ...keys, ...(hasRungs ? ['round'] : []), metric.label, EVAL_LOSS, TRAIN_TIME, 'run'];
  const rows = results.map(({ trial, rung, run, outcome }) => [
    trial.name,
    ...trial.settings.map((setting) => setting.slice(setting.indexOf('=') + 1)),
    ...(hasRungs ? [String(rung + 1)] : []),
    outcome === undefined ? 'failed' : scoreText(metric, scoreOf(outcome, metric)),
    outcome === undefined ? '' : outcome.loss.toFixed(4),
    outcome === undefined ? '' : duration(outcome.seconds),
    run,
  ]);
  return columns([head, ...rows], head.length);
}

function jsonOf({ trial, rung, run, outcome, error }: TrialResult, metric: Metric) {
  return {
    trial: trial.name,
    settings: trial.settings,
    round: rung + 1,
    run,
    [metric.name]: outcome === undefined ? null : scoreOf(outcome, metric),
    loss: outcome?.loss ?? null,
    seconds: outcome?.seconds ?? null,
    error: error ?? null,
  };
}
