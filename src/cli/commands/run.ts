import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { removeTemporary } from '../../checkpoint/atomic.js';
import { lockFolder } from '../../checkpoint/folder-lock.js';
import { runFolder } from '../../checkpoint/run-folder.js';
import type { PhaseName } from '../../incubation/phases.js';
import { phaseOf } from '../../incubation/phases.js';
import { runPipeline } from '../../incubation/pipeline.js';
import { hasBegun, type PreparedRun, prepareRun } from '../../incubation/prepare.js';
import { readRecipe } from '../../incubation/recipe.js';
import { checkStart } from '../../incubation/start-check.js';
import { defaultFolder } from '../default-folder.js';
import { downloaded } from '../download.js';
import { note, print, printJson } from '../output.js';
import { createProgress } from '../progress/progress.js';
import { type Conclusion, concludeRun } from '../run-conclusion.js';
import { stopOnSignals } from '../signals.js';
import { isAllDone, type Launcher, launchOnSlurm, printLaunch, refuseKubernetes } from './launch.js';

interface RunOptions {
  readonly out?: string;
  readonly set?: readonly string[];
  readonly only?: readonly string[];
  readonly quiet?: true;
  readonly json?: true;
  readonly launcher: Launcher;
  readonly dryRun?: true;
}

const TICK_MS = 250;

/** `run`: trains what is not done yet, then sums up. */
export async function run(recipePath: string, options: RunOptions): Promise<void> {
  const recipe = readRecipe(recipePath, options.set);
  // The name is checked by looking the phase up.
  const only = options.only && [
    ...new Set(options.only.map((name) => phaseOf(recipe, name as PhaseName).name)),
  ];
  const runDir = options.out ?? defaultFolder(recipe);
  const launch = { recipe, runDir, only, options };
  if (options.dryRun) return printLaunch(options.launcher, launch);
  if (options.launcher === 'kubernetes') refuseKubernetes();
  // What is done is summed up here, whoever did it.
  if (options.launcher === 'slurm' && !isAllDone(recipe, runDir, only)) return launchOnSlurm(launch);
  // Where another process runs it, not even its recipe may be written.
  if (existsSync(runDir)) (await lockFolder(runDir)).release();
  if (!hasBegun(runDir)) await checkStart(recipe, { note, download: (name) => downloaded(name, note) });
  const prepared = prepareRun(recipe, runDir);
  const lock = await lockFolder(runDir);
  const { ran, summary, report, notes } = await trainAndConclude(
    prepared,
    only,
    options.quiet ?? false,
  ).finally(lock.release);

  if (options.json) {
    printJson({ ...summary, run: runDir, report, phases_run: ran });
    return;
  }
  const { table } = await import('../../report/summary-text.js');
  if (!options.quiet) {
    for (const line of notes) note(line);
    if (ran.length === 0) note('Everything asked for was done before: nothing to train.');
  }
  print('', table(summary).trimEnd(), '', `Report: ${report}`);
}

async function trainAndConclude(
  prepared: PreparedRun,
  only: readonly PhaseName[] | undefined,
  quiet: boolean,
): Promise<Conclusion & { readonly ran: PhaseName[] }> {
  removeTemporary(prepared.runDir);
  removeTemporary(runFolder(prepared.runDir).report);
  const ran = await train(prepared, only, quiet);
  return { ran, ...(await concludeRun(prepared)) };
}

async function train(
  prepared: PreparedRun,
  only: readonly PhaseName[] | undefined,
  quiet: boolean,
): Promise<PhaseName[]> {
  const { runDir, plan } = prepared;
  const progress = createProgress({
    runDir,
    phases: only ?? plan.phases.map(({ phase }) => phase),
    stream: process.stderr,
    isTTY: process.stderr.isTTY ?? false,
    now: () => performance.now(),
    quiet,
  });
  using stop = stopOnSignals(() =>
    progress.note('stopping: a checkpoint is being saved; once more: at once'),
  );
  const ticking = setInterval(progress.tick, TICK_MS);
  try {
    return await runPipeline({
      prepared,
      ...(only && { only }),
      command: [process.execPath, fileURLToPath(new URL('../main.js', import.meta.url)), 'phase'],
      signal: stop.signal,
      note: progress.note,
    });
  } catch (error) {
    throw stop.blame(error, 'the same command again goes on from there');
  } finally {
    clearInterval(ticking);
    progress.stop();
  }
}
