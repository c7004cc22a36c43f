import { needsOf, type Phase, type PhaseName, phasesOf } from '../recipe/phases.js';
import type { Recipe } from '../recipe/recipe-schema.js';
import { hasCheckpoint } from '../run/checkpoint-store.js';
import { finalCheckpoint, LostWeights } from '../run/finished-phase.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { reopen } from './more-epochs.js';

interface Wanted {
  readonly recipe: Recipe;
  readonly runDir: string;
  /** Phases that may be trained; all by default. */
  readonly only?: readonly PhaseName[] | undefined;
}

/**
 * Looks for phases that are done, whose last checkpoint is missing or damaged, and from which other phases are about to
 * start. The result of such a phase is moved to `previous/`, so that training goes on from the checkpoint before, and `note` is told. Only
 * for who holds the run.
 * @throws LostWeights where there is no checkpoint before it, or the phase may not be trained now
 */
export function reopenLost({ recipe, runDir, only }: Wanted, note: (line: string) => void): void {
  const isWanted = (name: PhaseName) => only?.includes(name) ?? true;
  const told = new Set<PhaseName>();
  // A phase that is opened again may itself start from others.
  for (let isReopening = true; isReopening; ) {
    isReopening = false;
    for (const name of handedOn({ recipe, runDir, only })) {
      const lost = lossOf(runDir, name);
      if (lost === undefined) continue;
      if (!isWanted(name) || lost.olderStep === undefined) {
        if (isNeeded({ recipe, runDir, only }, name)) throw lost;
        if (!told.has(name)) note(`${lost.message}. ${lost.hint}`);
        told.add(name);
        continue;
      }
      note(`${lost.message}. The steps after ${lost.olderStep} are trained again.`);
      reopen(runDir, [name]);
      isReopening = true;
    }
  }
}

/** @throws LostWeights where a phase that one of `names` starts from, and that is not among them, is lost */
export function requireSources(recipe: Recipe, runDir: string, names: readonly PhaseName[]): void {
  const phases = phasesOf(recipe).filter(({ name }) => names.includes(name));
  for (const need of new Set(phases.flatMap(needsOf))) {
    if (!names.includes(need)) finalCheckpoint(runFolder(runDir).phase(need).root);
  }
}

/** Phases that are done and that others start from now, or that were asked for by name. */
function handedOn(wanted: Wanted): PhaseName[] {
  const named = wanted.only?.filter((name) => readResult(wanted.runDir, name) !== undefined) ?? [];
  return [...new Set([...needed(wanted), ...named])];
}

const isNeeded = (wanted: Wanted, name: PhaseName) => needed(wanted).includes(name);

function needed({ recipe, runDir, only }: Wanted): PhaseName[] {
  const undone = phasesOf(recipe).filter(
    ({ name }) => (only?.includes(name) ?? true) && readResult(runDir, name) === undefined,
  );
  const needs = undone.filter((phase) => readsOthers(runDir, phase)).flatMap(needsOf);
  return needs.filter((name) => readResult(runDir, name) !== undefined);
}

/** A phase that goes on from a checkpoint of its own has its weights there, but for what it imitates. */
function readsOthers(runDir: string, { name, objective }: Phase): boolean {
  return objective === 'imitate' || !hasCheckpoint(runFolder(runDir).phase(name).root);
}

function lossOf(runDir: string, name: PhaseName): LostWeights | undefined {
  try {
    finalCheckpoint(runFolder(runDir).phase(name).root);
    return undefined;
  } catch (error) {
    if (error instanceof LostWeights) return error;
    throw error;
  }
}
