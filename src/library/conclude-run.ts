import { cpus, totalmem } from 'node:os';
import { versions } from '../base/versions.js';
import { writeJsonAtomic } from '../files/atomic.js';
import type { PreparedRun } from '../launch/prepare.js';
import { bytes } from '../report/format.js';
import { type RunSummary, summarize } from '../report/summary.js';
import { scoredPhases } from '../report/uncertainty.js';
import { type Way, wayOf } from '../report/way.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { metricsOfRecipe, taskFactsOf } from '../tasks/metrics.js';

export interface Conclusion {
  readonly summary: RunSummary;
  readonly way: Way;
  /** Path of the report page. */
  readonly report: string;
  /** Parts of the report that could not be created. */
  readonly notes: readonly string[];
}

/** Writes `summary.json` and the report of all finished phases. */
export async function concludeRun({ recipe, runDir, plan }: PreparedRun): Promise<Conclusion> {
  const results = plan.phases
    .map(({ phase }) => readResult(runDir, phase))
    .filter((result) => result !== undefined);
  const summary = summarize({
    name: recipe.name,
    seed: recipe.seed,
    results,
    machine: machineFacts(),
    scored: scoredPhases(runDir, results, metricsOfRecipe(recipe).primary),
    ...taskFactsOf(recipe),
    way: wayOf(recipe),
  });
  writeJsonAtomic(runFolder(runDir).summary, summary, { makesFolder: false });
  const { writeReport } = await import('../report/html.js');
  const { html, notes } = await writeReport(runDir);
  return { summary, way: wayOf(recipe), report: html, notes };
}

/** Facts about this machine that matter for the results. */
function machineFacts(): Record<string, string | number> {
  const processors = cpus();
  return {
    processor: processors[0]?.model ?? 'unknown',
    cores: processors.length,
    memory: bytes(totalmem()),
    system: `${process.platform} ${process.arch}`,
    ...versions(),
  };
}
