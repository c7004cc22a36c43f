import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../base/errors.js';
import { ownCommand } from '../base/shell.js';
import {
  type CheckpointSearch,
  type LoadedCheckpoint,
  latestCheckpoint,
  loadLatest,
  loadWithoutOptimizer,
  presentModel,
  wholeModel,
} from './checkpoint-store.js';
import { readResult } from './run-folder.js';

/** A phase is done, but the checkpoint of its last step is missing or damaged. */
export class LostWeights extends InputError {
  /** Step of the newest intact checkpoint, if it is older: the missing steps can be trained again from it. */
  readonly olderStep: number | undefined;

  constructor(message: string, options: { readonly hint: string; readonly olderStep: number | undefined }) {
    super(message, options);
    this.olderStep = options.olderStep;
  }
}

/**
 * The checkpoint whose weights a phase passes on. For a phase that is done, it is that of the step in `result.json`: the
 * result does not describe the weights of an older one. Otherwise it is the newest intact checkpoint.
 * @throws LostWeights if a phase is done and that checkpoint is missing or damaged
 */
export function finalCheckpoint(path: string): CheckpointSearch {
  return finalOf(path, latestCheckpoint, wholeModel);
}

/**
 * `finalCheckpoint` for a caller that verifies the weights while it reads them: those of a phase that is done are not read
 * here.
 * @throws LostWeights as `finalCheckpoint`, if the checkpoint is missing or has the wrong size
 */
export function claimedCheckpoint(path: string): CheckpointSearch {
  const phaseFolder = withoutSlash(path);
  const { runDir, phase } = placeOf(phaseFolder);
  const result = readResult(runDir, phase);
  const checkpoint = result && presentModel(phaseFolder, result.steps);
  return checkpoint === undefined ? finalCheckpoint(path) : { checkpoint, skipped: [] };
}

const withoutSlash = (path: string) => path.replace(/(?<=.)\/+$/, '');

/**
 * `finalCheckpoint` with its weights; reads the file only once.
 * @throws LostWeights as `finalCheckpoint`
 */
export function loadFinal(path: string): LoadedCheckpoint | undefined {
  return finalOf<LoadedCheckpoint>(path, loadLatest, loadWithoutOptimizer).checkpoint;
}

interface Found<C> {
  readonly checkpoint?: C;
  readonly skipped: CheckpointSearch['skipped'];
}

function finalOf<C>(
  path: string,
  latest: (phaseFolder: string) => Found<C>,
  ofStep: (phaseFolder: string, step: number) => { readonly checkpoint: C } | { readonly reason: string },
): Found<C> {
  const phaseFolder = withoutSlash(path);
  const { runDir, phase } = placeOf(phaseFolder);
  const result = readResult(runDir, phase);
  if (result === undefined) return latest(phaseFolder);
  const found = ofStep(phaseFolder, result.steps);
  if ('checkpoint' in found) return { checkpoint: found.checkpoint, skipped: [] };
  throw lostWeights({ runDir, phase, phaseFolder, step: result.steps, reason: found.reason });
}

interface Loss {
  readonly runDir: string;
  readonly phase: string;
  readonly phaseFolder: string;
  readonly step: number;
  readonly reason: string;
}

function lostWeights({ runDir, phase, phaseFolder, step, reason }: Loss): LostWeights {
  const older = latestCheckpoint(phaseFolder).checkpoint;
  const olderStep = older !== undefined && older.step < step ? older.step : undefined;
  const hint =
    older === undefined || olderStep === undefined
      ? `restore it from a copy, or train the phase again: ${ownCommand('redo', runDir, phase)}`
      : `repeat its missing steps: ${ownCommand('run', runDir, '--only', phase)}; the previous checkpoint is ${older.folder}`;
  const folder = join(phaseFolder, 'checkpoints', String(step));
  return new LostWeights(
    `${phaseFolder} is done after ${step} steps, but its checkpoint of step ${step} cannot be used: ${folder}: ${reason}`,
    { hint, olderStep },
  );
}

/** The run folder of a phase's folder, and the phase's name: `PT`, `MT/0` ... */
function placeOf(phaseFolder: string): { readonly runDir: string; readonly phase: string } {
  const path = resolve(phaseFolder);
  const name = basename(path);
  return basename(dirname(path)) === 'MT'
    ? { runDir: join(phaseFolder, '../..'), phase: `MT/${name}` }
    : { runDir: join(phaseFolder, '..'), phase: name };
}
