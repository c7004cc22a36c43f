import { ownCommand } from '../../base/shell.js';
import { lockFolder } from '../../files/folder-lock.js';
import { depthSettings, redoPhase } from '../../launch/exchange/redo.js';
import { recipeOfRun } from '../../launch/run-recipe.js';
import { requireNoJobs } from '../../launch/slurm/slurm-jobs.js';
import type { PhaseName } from '../../recipe/phase.js';
import { note } from '../terminal/output.js';
import { run } from './run.js';

interface RedoOptions {
  readonly set?: readonly string[];
  readonly depth?: number;
  readonly force?: true;
  readonly acceptDataChange?: true;
  readonly quiet?: true;
  readonly json?: true;
}

/** `redo`: moves a phase and all phases that start from it aside, and trains them again. */
export async function redo(runDir: string, name: string, options: RedoOptions): Promise<void> {
  const { set = [], depth, ...others } = options;
  const before = recipeOfRun(runDir);
  const deeper = depth === undefined ? [] : depthSettings(before, name as PhaseName, depth);
  await requireNoJobs(runDir, note);
  const lock = await lockFolder(runDir);
  const redone = (() => {
    try {
      return redoPhase(runDir, name as PhaseName, [...deeper, ...set], options);
    } finally {
      lock.release();
    }
  })();
  const { phases, previous, baseline } = redone;
  if (previous !== undefined && !options.quiet)
    note(`The previous ${phases.join(', ')} moved to ${previous}.`);
  if (baseline !== undefined) {
    note(
      `E2E was kept with its ${baseline.steps} steps. For as many block-passes as the other phases, it now needs ${baseline.planned}. To retrain it: ${ownCommand('redo', runDir, 'E2E')}`,
    );
  }
  await run(runDir, { ...others, only: phases });
}
