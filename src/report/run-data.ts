import { existsSync } from 'node:fs';
import { z } from 'zod';
import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import type { TaskMetrics } from '../run/metric.js';
import { readMetrics } from '../run/metrics-log.js';
import { type PhaseStatus, readStatus } from '../run/phase-status.js';
import {
  phasesIn,
  type RunFolder,
  readJson,
  readJsonObject,
  readResult,
  requireRun,
  runFolder,
} from '../run/run-folder.js';
import { metricsOf, taskFactsOf } from '../tasks/metrics.js';
import type { PhaseMetrics } from './curves.js';
import type { PhaseStages } from './method-figure.js';
import { type RunSummary, summarize } from './summary.js';
import { scoredPhases } from './uncertainty.js';
import { type Way, wayOf } from './way.js';

/** The data of a report, read from a run folder that may still be growing. */
export interface ReportData {
  /** The content of `recipe.json`. */
  readonly recipe: unknown;
  readonly way: Way;
  readonly metrics: TaskMetrics;
  readonly summary: RunSummary;
  /** In training order. */
  readonly phases: readonly PhaseMetrics[];
  /** Missing parts, one sentence each. */
  readonly missing: readonly string[];
  /** Stages of the planned phases; empty without a plan. */
  readonly stages: readonly PhaseStages[];
}

/** @throws InputError if `root` is not a run folder or one of its files is damaged */
export function readRun(root: string): ReportData {
  const folder = runFolder(root);
  requireRun(root);
  const recipe = readJsonObject(folder.recipe);
  const plan = planIn(folder);
  const phases = phasesIn(root).map((phase) => {
    const stepsPerEpoch = plan.find((planned) => planned.phase === phase)?.steps_per_epoch;
    return {
      phase,
      records: readMetrics(folder.phase(phase).metrics),
      ...(typeof stepsPerEpoch === 'number' && stepsPerEpoch > 0 && { stepsPerEpoch }),
    };
  });
  const written = writtenIn(folder);
  const way = wayOf(recipe);
  const facts = taskFactsOf(recipe, folder.recipe);
  const metrics = metricsOf(facts);
  const results = phases.flatMap(({ phase }) => readResult(root, phase, metrics.all) ?? []);
  const named: { name?: unknown; seed?: unknown } = Object(recipe);
  // Phases may have finished after summary.json was written; only the name, seed and machine are taken from it.
  const summary = summarize({
    name: written.name ?? (typeof named.name === 'string' ? named.name : 'Run'),
    seed: written.seed ?? (typeof named.seed === 'number' ? named.seed : 0),
    results,
    machine: written.machine ?? {},
    scored: scoredPhases(root, results, metrics.primary),
    ...facts,
    way,
  });
  const done = new Set(results.map(({ phase }) => phase));
  const planned = plan.flatMap(({ phase }) => (typeof phase === 'string' ? [phase] : []));
  const missing = missingIn(root, { phases, planned, done, way });
  return { recipe, way, metrics, summary, phases, missing, stages: plan.filter(hasStages) };
}

interface Planned {
  readonly phase?: unknown;
  readonly depths?: unknown;
  readonly steps_per_epoch?: unknown;
}

function writtenAgain(root: string): string {
  return `delete it, then write it again with: ${ownCommand('run', root)}`;
}

/** The phases in `plan.json`; empty if the file does not exist. */
function planIn({ root, plan: path }: RunFolder): Planned[] {
  if (!existsSync(path)) return [];
  const { phases } = readJsonObject(path);
  if (Array.isArray(phases) && phases.every((each) => typeof each === 'object' && each !== null))
    return phases;
  throw new InputError(`${path} is not a valid plan: it has no phases`, {
    hint: writtenAgain(root),
  });
}

const summarySchema = z.object({
  name: z.string().optional(),
  seed: z.number().optional(),
  machine: z.record(z.string(), z.unknown()).optional(),
});

/** The name, seed and machine from `summary.json`. */
function writtenIn({ root, summary: path }: RunFolder): z.infer<typeof summarySchema> {
  if (!existsSync(path)) return {};
  const found = summarySchema.safeParse(readJson(path));
  if (found.success) return found.data;
  const [{ path: key, message }] = found.error.issues;
  throw new InputError(`${path}: ${key.join('.') || 'its top'}: ${message}`, {
    hint: writtenAgain(root),
  });
}

function hasStages(planned: Planned): planned is Planned & PhaseStages {
  const { phase, depths } = planned;
  return (
    typeof phase === 'string' && Array.isArray(depths) && depths.every((blocks) => typeof blocks === 'number')
  );
}

function missingIn(root: string, parts: Parts): string[] {
  const { phases, planned, done, way } = parts;
  const begun = new Set(phases.map(({ phase }) => phase));
  const unfinished = phases
    .filter(({ phase }) => !done.has(phase))
    .map((each) => unfinishedText(each, readStatus(root, each.phase)));
  const waiting = planned.filter((phase) => !begun.has(phase));
  const absent = (phase: string) => !begun.has(phase) && !planned.includes(phase);
  return [
    ...unfinished,
    ...(waiting.length > 0 ? [`Not started: ${waiting.join(', ')}.`] : []),
    ...(way === 'incubation' && absent('FT') ? ['The assembled model (FT) has not been trained.'] : []),
    ...(way === 'growth' && absent('FT') ? ['The grown model (FT) has not been trained.'] : []),
    ...(way === 'fine_tuning' && absent('FT') ? ['The model (FT) has not been fine-tuned.'] : []),
    ...(absent('E2E') ? ['There is no end-to-end baseline (E2E) in this run.'] : []),
  ];
}

interface Parts {
  readonly phases: readonly PhaseMetrics[];
  readonly planned: readonly string[];
  readonly done: ReadonlySet<string>;
  readonly way: Way;
}

function unfinishedText({ phase, records }: PhaseMetrics, { state, last_error: error }: PhaseStatus): string {
  const last = records.findLast((record) => record.kind === 'step');
  const steps = last && `step ${last.step.toLocaleString('en-US')} of ${last.steps.toLocaleString('en-US')}`;
  if (state !== 'failed') return `${phase} is not finished: ${steps ?? 'no steps recorded'}.`;
  const why =
    error === null ? '' : `: ${error.startsWith(`${phase}: `) ? error.slice(phase.length + 2) : error}`;
  return `${phase} failed ${steps === undefined ? 'before its first step' : `at ${steps}`}${why}`;
}
