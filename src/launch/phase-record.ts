import { DeepIncubationError, errorText, Interrupted } from '../base/errors.js';
import { openLog } from '../phase/observe/phase-log.js';
import type { PhaseName } from '../recipe/phase.js';
import { type PhaseStatus, writeStatus } from '../run/phase-status.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { DiedTooOften } from './died-too-often.js';
import type { Ending } from './processes/ending.js';

interface RecordOptions {
  readonly runDir: string;
  readonly phases: readonly PhaseName[];
  /** If the abort reason is an `Interrupted`, it states why the phases were stopped; otherwise the user stopped them. */
  readonly signal: AbortSignal;
  /** Prints a line on the terminal. */
  readonly note: (line: string) => void;
}

/** Death of a phase's process before the phase was done. */
export interface Death {
  /** The cause, worded to follow the phase's name. */
  readonly text: string;
  readonly ending: Ending;
}

/** Number of lines of a dead process's stderr that are logged. */
const LOGGED_LINES = 30;

/** Records the progress of a phase in its status, in its log and on the terminal. */
export interface PhaseRecord {
  state(state: PhaseStatus['state'], pid?: number): void;
  death(death: Death, pauseMs: number): void;
  failure(error: unknown): void;
}

export function createRecord({ runDir, phases, signal, note }: RecordOptions): PhaseRecord {
  let restarts = 0;
  let lastError: string | null = null;
  let hint: string | undefined;
  const write = (phase: PhaseName, name: PhaseStatus['state'], more: Partial<PhaseStatus> = {}) =>
    writeStatus(runDir, phase, {
      state: name,
      pid: null,
      restarts,
      last_error: lastError,
      ...(hint !== undefined && { hint }),
      ...more,
    });
  const state: PhaseRecord['state'] = (name, pid) => {
    for (const phase of phases) write(phase, name, pid === undefined ? {} : { pid });
  };
  return {
    state,
    death({ text, ending }, pauseMs) {
      restarts++;
      lastError = text;
      const next_start = new Date(Date.now() + pauseMs).toISOString();
      for (const phase of phases) write(phase, 'restarting', { next_start });
      const pause = `${(pauseMs / 1000).toPrecision(2)} s`;
      const line = `${phases.join(',')} ${text}; resuming from its last checkpoint in ${pause} (restart ${restarts})`;
      note(line);
      for (const phase of phases) log(runDir, phase, line, ending.stderr);
    },
    failure(error) {
      const isInterrupted = error instanceof Interrupted;
      if (!isInterrupted) {
        lastError = errorText(error);
        hint = hintOf(error);
      } else if (signal.reason instanceof Interrupted) lastError = signal.reason.message;
      const isDone = (phase: PhaseName) => readResult(runDir, phase) !== undefined;
      for (const phase of phases) {
        write(phase, isDone(phase) ? 'done' : isInterrupted ? 'stopped' : 'failed');
      }
    },
  };
}

function hintOf(error: unknown): string | undefined {
  if (error instanceof DiedTooOften) return error.advice;
  return error instanceof DeepIncubationError ? error.hint : undefined;
}

function log(runDir: string, phase: PhaseName, line: string, stderr: string): void {
  try {
    const write = openLog(runFolder(runDir).phase(phase).log);
    write(line);
    for (const said of stderr.trimEnd().split('\n').slice(-LOGGED_LINES)) if (said !== '') write(`  ${said}`);
  } catch {
    // A failed write is ignored; the run reports disk errors itself.
  }
}
