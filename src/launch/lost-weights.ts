import { needsOf, type Phase, type PhaseName } from '../recipe/phase.js';
import { hasCheckpoint } from '../run/checkpoint-store.js';
import { finalCheckpoint, LostWeights } from '../run/finished-phase.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { reopen } from './more-epochs.js';

interface Wanted {
  /** All phases of the run. */
  readonly phases: readonly Phase[];
  readonly runDir: string;
  /** Phases that may be trained. Default: all. */
  readonly only?: readonly PhaseName[] | undefined;
}

/**
 * Looks for finished phases whose last checkpoint is missing or damaged and from which other phases are about to start.
 * Moves the result of such a phase to `previous/`, so that training resumes from the checkpoint before, and reports it with
 * `note`. The caller must hold the run.
 * @throws LostWeights if another phase needs the weights, and there is no earlier checkpoint or the phase may not be trained
 */
export function reopenLost({ phases, runDir, only }: Wanted, note: (line: string) => void): void {
  const isWanted = (name: PhaseName) => only?.includes(name) ?? true;
  const reported = new Set<PhaseName>();
  // A reopened phase may itself start from other phases, so check again.
  for (let isReopening = true; isReopening; ) {
    isReopening = false;
    for (const name of handedOn({ phases, runDir, only })) {
      const lost = lossOf(runDir, name);
      if (lost === undefined) continue;
      if (!isWanted(name) || lost.olderStep === undefined) {
        if (isNeeded({ phases, runDir, only }, name)) throw lost;
        if (!reported.has(name)) note(`${lost.message}. ${lost.hint}`);
        reported.add(name);
        continue;
      }
      note(`${lost.message}. The steps after ${lost.olderStep} are repeated.`);
      reopen(runDir, [name]);
      isReopening = true;
    }
  }
}

/** @throws LostWeights if one of `names` starts from a phase that is not among them and whose weights are lost */
export function requireSources(all: readonly Phase[], runDir: string, names: readonly PhaseName[]): void {
  const phases = all.filter(({ name }) => names.includes(name));
  for (const need of new Set(phases.flatMap(needsOf))) {
    if (!names.includes(need)) finalCheckpoint(runFolder(runDir).phase(need).root);
  }
}

/** Finished phases from which other phases start now, or which were requested by name. */
function handedOn(wanted: Wanted): PhaseName[] {
  const named = wanted.only?.filter((name) => readResult(wanted.runDir, name) !== undefined) ?? [];
  return [...new Set([...needed(wanted), ...named])];
}

const isNeeded = (wanted: Wanted, name: PhaseName) => needed(wanted).includes(name);

function needed({ phases, runDir, only }: Wanted): PhaseName[] {
  const undone = phases.filter(
    ({ name }) => (only?.includes(name) ?? true) && readResult(runDir, name) === undefined,
  );
  const needs = undone.filter((phase) => readsOthers(runDir, phase)).flatMap(needsOf);
  return needs.filter((name) => readResult(runDir, name) !== undefined);
}

/** Whether a phase reads weights of other phases. A phase with its own checkpoint does so only if it imitates. */
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
