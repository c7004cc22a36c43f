import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { InputError } from '../base/errors.js';
import { makeFolders, writeJsonAtomic } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { readJsonObject, runFolder } from '../run/run-folder.js';
import type { Rung, SweepMethod, Trial } from './sweep-trials.js';

/** What a sweep trains. It is recorded when the sweep begins, so that a resumed sweep has the same trials. */
export interface SweepPlan {
  readonly method: SweepMethod;
  /** The recipe as written, before the settings of the trials. */
  readonly recipe: unknown;
  readonly trials: readonly Trial[];
  /** One round of all trials; several with successive halving. */
  readonly rungs: readonly Rung[];
}

/** The folder of a trial's run. */
export function trialFolder(
  root: string,
  { rungs }: Pick<SweepPlan, 'rungs'>,
  rung: number,
  { name }: Trial,
): string {
  return rungs.length === 1 ? join(root, name) : join(root, `rung-${rung}`, name);
}

const planFile = (root: string) => join(root, 'sweep.json');

/**
 * Records the plan of a sweep in its folder. If the folder already has a sweep, the plan must be the same.
 * @throws InputError if it is another sweep, or the folder is a run
 */
export function openSweep(root: string, plan: SweepPlan): void {
  if (existsSync(runFolder(root).recipe)) {
    throw new InputError(`${root} is a run, not the folder of a sweep`, {
      hint: 'choose another folder with --out',
    });
  }
  const path = planFile(root);
  if (!existsSync(path)) {
    withFileErrors(root, () => {
      makeFolders(root);
      writeJsonAtomic(path, plan);
    });
    return;
  }
  const recorded = readJsonObject(path);
  const own: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(plan));
  const differing = ['method', 'recipe', 'trials', 'rungs'].filter(
    (part) => !isDeepStrictEqual(recorded[part], own[part]),
  );
  if (differing.length === 0) return;
  throw new InputError(`${root} has another sweep: its ${differing.join(' and ')} differ`, {
    hint: 'repeat the command that began it, or choose another folder with --out',
  });
}

/** The runs of a sweep that have begun, in the order of the trials; a folder that is not a sweep stands for itself. */
export function runsOfSweep(root: string): string[] {
  const path = planFile(root);
  if (!existsSync(path)) return [root];
  const { trials, rungs } = readJsonObject(path) as unknown as SweepPlan;
  const runs = rungs.flatMap((_, rung) => trials.map((trial) => trialFolder(root, { rungs }, rung, trial)));
  const begun = runs.filter((run) => existsSync(runFolder(run).recipe));
  if (begun.length > 0) return begun;
  throw new InputError(`${root}: no trial of the sweep has begun`, { hint: 'repeat the `sweep` command' });
}
