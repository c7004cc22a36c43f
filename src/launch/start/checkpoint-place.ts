import { existsSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../base/errors.js';
import { bestCheckpoint, bestStep, type Checkpoint } from '../../run/checkpoint-store.js';
import { phasesIn } from '../../run/run-folder.js';

/** A phase's folder, and which of its checkpoints to use. */
export interface CheckpointPlace {
  readonly path: string;
  readonly which: 'best' | 'latest';
}

/**
 * Resolves the name of a checkpoint: `RUN/FT/best`, `RUN/FT/latest` (with or without `checkpoints`), `RUN/best`, `RUN`. A
 * run stands for its result: FT, or E2E if it trains nothing else.
 * @returns undefined for any other path
 * @throws InputError if a run has no result yet
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

/** @throws InputError if the phase has no best checkpoint, or it is damaged */
export function requireBest(phaseFolder: string): Checkpoint {
  const { checkpoint, skipped } = bestCheckpoint(phaseFolder);
  if (checkpoint !== undefined) return checkpoint;
  const why = skipped.map(({ folder, reason }) => `: ${folder}: ${reason}`).join('');
  throw new InputError(`${phaseFolder} has no best checkpoint${why}`, {
    hint: `use ${join(phaseFolder, 'latest')}`,
  });
}

/** Message that states which checkpoint was chosen, and which one is the best. */
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
  // A Hugging Face folder is a model, whatever else it contains.
  return existsSync(join(folder, 'recipe.json')) && !existsSync(join(folder, 'config.json'));
}

function resultOf(runDir: string): string {
  const phases = phasesIn(runDir).filter((phase) => existsSync(join(runDir, phase, 'checkpoints')));
  const [result] = phases.includes('FT') ? ['FT'] : phases.length === 1 && phases[0] === 'E2E' ? phases : [];
  if (result !== undefined) return join(runDir, result);
  throw new InputError(`${runDir} is a run without a result yet`, {
    hint:
      phases.length === 0
        ? 'it has no phase yet'
        : `name one of its phases: ${phases.map((phase) => join(runDir, phase)).join(', ')}`,
  });
}
