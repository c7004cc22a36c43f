import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { bestCheckpoint, bestStep, type Checkpoint } from '../../run/checkpoint-store.js';
import { phasesIn } from '../../run/run-folder.js';

/** A phase's folder, and which of its checkpoints is meant. */
export interface CheckpointPlace {
  readonly path: string;
  readonly which: 'best' | 'latest';
}

/**
 * What a name of a checkpoint stands for: `RUN/FT/best`, `RUN/FT/latest` (with or without `checkpoints`), `RUN/best`, `RUN`. Of
 * a run its result is meant: FT, or E2E where it trains nothing else.
 * @returns nothing where it is another path
 * @throws InputError where a run has no result yet
 */
export function checkpointPlace(path: string): CheckpointPlace | undefined {
  const stat = statSync(path, { throwIfNoEntry: false });
  if (stat?.isDirectory()) return isRun(path) ? { path: resultOf(path), which: 'latest' } : undefined;
  const which = basename(path);
  if (which !== 'best' && which !== 'latest') return undefined;
  const parent = dirname(path);
  const folder = basename(parent) === 'checkpoints' ? dirname(parent) : parent;
  if (isRun(folder)) return { path: resultOf(folder), which };
  return existsSync(join(folder, 'checkpoints')) ? { path: folder, which } : undefined;
}

/** @throws InputError where the phase has no best checkpoint, or it is damaged */
export function requireBest(phaseFolder: string): Checkpoint {
  const { checkpoint, skipped } = bestCheckpoint(phaseFolder);
  if (checkpoint !== undefined) return checkpoint;
  const why = skipped.map(({ folder, reason }) => `: ${folder}: ${reason}`).join('');
  throw new InputError(`${phaseFolder} has no best checkpoint${why}`, {
    hint: `use ${join(phaseFolder, 'latest')}`,
  });
}

/** Which checkpoint was taken, and which other there is. */
export function choiceLine(
  phaseFolder: string,
  which: CheckpointPlace['which'],
  { folder, step }: Checkpoint,
): string {
  const best = bestStep(phaseFolder);
  const other =
    which === 'best' || best === undefined
      ? ''
      : best === step
        ? ', which is the best'
        : `; the best is step ${best}: ${join(phaseFolder, 'best')}`;
  return `checkpoint: ${folder} (${which}, step ${step}${other})`;
}

function isRun(folder: string): boolean {
  // A folder of Hugging Face's is a model, whatever else it holds.
  return existsSync(join(folder, 'recipe.json')) && !existsSync(join(folder, 'config.json'));
}

function resultOf(runDir: string): string {
  const phases = phasesIn(runDir).filter((phase) => existsSync(join(runDir, phase, 'checkpoints')));
  const [result] = phases.includes('FT') ? ['FT'] : phases.length === 1 && phases[0] === 'E2E' ? phases : [];
  if (result !== undefined) return join(runDir, result);
  throw new InputError(`${runDir} is a whole run, without a result yet`, {
    hint:
      phases.length === 0
        ? 'it has no phase yet'
        : `name a phase of it: ${phases.map((phase) => join(runDir, phase)).join(', ')}`,
  });
}
