import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { writeFileAtomic } from '../../files/atomic.js';
import { prepareRun } from '../../launch/prepare.js';
import { givenWeights } from '../../launch/start/given-weights.js';
import { keepWeights } from '../../launch/start/start-copy-write.js';
import { testRates } from '../../phase/rate-test.js';
import { compile } from '../../recipe/compile.js';
import type { Phase } from '../../recipe/phase.js';
import { readRecipeInput } from '../../recipe/recipe.js';
import { setThreads } from '../../torch/engine.js';
import { type RatePoint, smoothedLosses, suggestedRates } from '../../training/rate-range.js';
import { progressLine } from '../terminal/live-block.js';
import { columns, note, print, printJson } from '../terminal/output.js';
import { startedRecipe } from './start.js';

interface LrTestOptions {
  readonly set?: readonly string[];
  readonly phase?: string;
  readonly from: number;
  readonly to: number;
  readonly steps: number;
  readonly plot?: string;
  readonly json?: true;
}

/** `lr-test`: a learning-rate range test. Works in a temporary folder, which is removed. */
export async function lrTest(recipePath: string, options: LrTestOptions): Promise<void> {
  const { from, to, steps } = options;
  if (!(from < to)) throw new InputError(`--from ${from} is not below --to ${to}`);
  const written = readRecipeInput(recipePath, options.set);
  const runDir = mkdtempSync(join(tmpdir(), 'deep-incubation-lr-test-'));
  const progress = progressLine(process.stderr, 'steps');
  try {
    const { recipe, weights } = await startedRecipe(written, runDir);
    const phase = testedPhase(compile(recipe), options.phase);
    if (recipe.run.threads !== 'auto') setThreads(recipe.run.threads);
    prepareRun(recipe, runDir, { note });
    keepWeights(runDir, weights);
    const device = recipe.run.device;
    const onStep = (_: RatePoint, step: number) => progress.show(step, steps);
    const points = await testRates({ phase, runDir, given: givenWeights, device, from, to, steps, onStep });
    progress.clear();
    await report(phase, points, options);
  } finally {
    progress.clear();
    rmSync(runDir, { recursive: true, force: true });
  }
}

/** The phase to test: one that needs no other phase. */
function testedPhase(phases: readonly Phase[], name: string | undefined): Phase {
  const possible = phases.filter(({ sources }) =>
    sources.every((source) => source === null || source.startsWith('start.')),
  );
  const phase = possible.find((each) => name === undefined || each.name === name);
  if (phase !== undefined) return phase;
  throw new InputError(`${name} cannot be tested: it does not exist or starts from another phase`, {
    hint: `choose --phase ${possible.map((each) => each.name).join(' or ')}`,
  });
}

async function report(
  phase: Phase,
  points: readonly RatePoint[],
  { plot, json, steps }: LrTestOptions,
): Promise<void> {
  const found = suggestedRates(points);
  const scale = scaleOf(phase);
  const suggestion = found && { ...found, setting: found.steepest / scale };
  if (plot !== undefined) {
    const { rateFigure } = await import('../../report/rate-figure.js');
    writeFileAtomic(plot, `${await rateFigure(points, found)}\n`);
  }
  if (json)
    return printJson({
      phase: phase.name,
      lr_scale: scale,
      suggestion: suggestion ?? null,
      plot: plot ?? null,
      points,
    });
  print(...chart(points), '');
  if (points.length < steps) note(`stopped after ${points.length} of ${steps} steps: the loss diverged`);
  if (suggestion === undefined) {
    print(
      `${phase.name}: no rate is suggested, because the loss does not fall. Try other --from, --to or --steps.`,
    );
    return;
  }
  const setting = suggestion.setting.toPrecision(2);
  const scaled = scale === 1 ? '' : ` (${suggestion.steepest.toPrecision(2)} at this batch size)`;
  print(
    `${phase.name}: the loss falls fastest at a rate of ${suggestion.steepest.toPrecision(2)} and is lowest at ${suggestion.lowest.toPrecision(2)}.`,
    `Suggested: training.optimizer.lr=${Number(setting)}${scaled}`,
    ...(plot === undefined ? [] : [`Plot: ${plot}`]),
  );
}

/** The factor from `training.optimizer.lr` to the rate that the optimiser gets. */
function scaleOf({ settings: { optimizer, batch_size, accumulate } }: Phase): number {
  return optimizer.lr_batch === null ? 1 : (batch_size * accumulate) / optimizer.lr_batch;
}

const ROWS = 20;
const WIDTH = 50;

/** The smoothed loss as a bar for each of some rates. */
function chart(points: readonly RatePoint[]): string[] {
  const losses = smoothedLosses(points);
  const finite = losses.filter(Number.isFinite);
  const low = Math.min(...finite);
  const high = Math.max(...finite.slice(0, Math.ceil(finite.length / 2)));
  const rows = Math.min(ROWS, points.length);
  const shown = Array.from({ length: rows }, (_, i) =>
    Math.round((i * (points.length - 1)) / Math.max(rows - 1, 1)),
  );
  const bar = (loss: number) => {
    const share = Math.min(Math.max((loss - low) / (high - low || 1), 0), 1);
    return Number.isFinite(loss) ? '#'.repeat(1 + Math.round(share * (WIDTH - 1))) : 'not finite';
  };
  return columns(
    [
      ['rate', 'loss', ''],
      ...shown.map((i) => [points[i].lr.toExponential(1), losses[i].toFixed(4), bar(losses[i])]),
    ],
    3,
  );
}
