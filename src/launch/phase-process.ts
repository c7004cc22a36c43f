import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { DeepIncubationError, errorText, InputError, Interrupted, RunError } from '../base/errors.js';
import { makeFolder } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { changedThreads } from '../phase/changed-threads.js';
import { openLog } from '../phase/observe/phase-log.js';
import type { PhaseName } from '../recipe/phase.js';
import { newestStep } from '../run/checkpoint-store.js';
import { type PhaseStatus, writeStatus } from '../run/phase-status.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { removePhaseLeftovers } from './hold-run.js';
import { causeOf, type Ending, lackedMemory, ranOutOfHeap } from './processes/ending.js';
import type { Timing } from './processes/process-watch.js';
import { runRanks } from './processes/ranks.js';

/** A phase's process has died too often to be started again. */
class DiedTooOften extends RunError {
  /** Advice on the cause, if it is known. The hint also says how to resume. */
  readonly advice: string | undefined;

  constructor(message: string, options: { readonly hint: string; readonly advice: string | undefined }) {
    super(message, options);
    this.advice = options.advice;
  }
}

interface RecordOptions {
  readonly runDir: string;
  readonly phases: readonly PhaseName[];
  /** If the abort reason is an `Interrupted`, it states why the phases were stopped; otherwise the user stopped them. */
  readonly signal: AbortSignal;
  /** Prints a line on the terminal. */
  readonly note: (line: string) => void;
}

/** Death of a phase's process before the phase was done. */
interface Death {
  /** The cause, worded to follow the phase's name. */
  readonly text: string;
  readonly ending: Ending;
}

/** Number of lines of a dead process's stderr that are logged. */
const LOGGED_LINES = 30;

/** Records the progress of a phase in its status, in its log and on the terminal. */
interface PhaseRecord {
  state(state: PhaseStatus['state'], pid?: number): void;
  death(death: Death, pauseMs: number): void;
  failure(error: unknown): void;
}

function createRecord({ runDir, phases, signal, note }: RecordOptions): PhaseRecord {
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
    for (const last of stderr.trimEnd().split('\n').slice(-LOGGED_LINES)) if (last !== '') write(`  ${last}`);
  } catch {
    // A failed write is ignored; the run reports disk errors itself.
  }
}

/** Message that a phase's process sends before it fails. */
export const failureMessage = z.object({
  type: z.literal('failed'),
  /** crash: treated as if the process had died. A restart resumes the phase. */
  kind: z.enum(['input', 'run', 'interrupted', 'crash']),
  message: z.string(),
  hint: z.string().optional(),
});

export type FailureKind = z.infer<typeof failureMessage>['kind'];

interface PhaseProcess {
  readonly command: readonly string[];
  readonly runDir: string;
  /** The phase, or the modules that the process incubates together. */
  readonly phases: readonly PhaseName[];
  readonly threads: number;
  readonly device: string;
  /** Number of processes that train it together. Default 1. */
  readonly ranks?: number;
  readonly firstLocalRank?: number;
  readonly signal: AbortSignal;
  readonly note: (line: string) => void;
  readonly timing?: Partial<RestartTiming>;
}

/** In milliseconds. */
export interface RestartTiming extends Timing {
  /** Delay before the first restart. It doubles before each further restart without a new checkpoint. */
  readonly backoffMs: number;
}

const BACKOFF_MS = 1000;
const MAX_BACKOFF_MS = 60_000;
/** Maximum number of restarts in a row without a new checkpoint. */
const RESTARTS = 3;

/**
 * Runs a phase in a process, and restarts it from its last checkpoint if it dies (a native crash, an out-of-memory kill),
 * loses its GPU or hangs: up to three times in a row; every new checkpoint resets the count. The cause of a death is
 * printed, logged, and written to `status.json` with the state of the phase.
 * @throws InputError or RunError as reported by the phase, or if it died too often; Interrupted after `signal` is aborted
 */
export async function runPhaseProcess(options: PhaseProcess): Promise<void> {
  const { signal } = options;
  const phase = nameOf(options);
  const record = createRecord(options);
  for (const each of options.phases) {
    const changed = changedThreads(options.runDir, each, options.threads);
    if (changed !== undefined) options.note(changed);
  }
  try {
    for (let deaths = 0; ; ) {
      if (signal.aborted) throw new Interrupted(`${phase} was not started`);
      const before = stepsOf(options);
      const cause = await runOnce(options, record);
      if (cause === undefined) return record.state('done');
      deaths = stepsOf(options) === before ? deaths + 1 : 1;
      if (deaths > RESTARTS) throw tooOften(options, deaths, cause);
      const pause = Math.min((options.timing?.backoffMs ?? BACKOFF_MS) * 2 ** (deaths - 1), MAX_BACKOFF_MS);
      record.death(cause, pause);
      // An abort ends the pause early, and the next iteration throws.
      await sleep(pause, undefined, { signal }).catch(() => {});
    }
  } catch (error) {
    record.failure(error);
    throw error;
  }
}

/** @returns why the process died; undefined if the phase is done */
async function runOnce(options: PhaseProcess, record: PhaseRecord): Promise<Death | undefined> {
  const { command, runDir, phases, threads, device, signal, timing, ranks = 1, firstLocalRank = 0 } = options;
  for (const phase of phases) preparePhase(runDir, phase);
  const env = {
    ...process.env,
    OMP_NUM_THREADS: String(threads),
    UV_THREADPOOL_SIZE: String(Math.max(4, threads)),
  };
  let message: unknown;
  const ending = await runRanks(
    [...command, runDir, nameOf(options), '--threads', String(threads), '--device', device],
    {
      ranks,
      firstLocalRank,
      env,
      signal,
      timing,
      onStart: (pid) => record.state('running', pid),
      onMessage: (received) => {
        message = received;
      },
    },
  );
  if (ending.code === 0 && phases.every((phase) => readResult(runDir, phase) !== undefined)) return undefined;
  const report = failureMessage.safeParse(message);
  const hasCrashed = report.success && report.data.kind === 'crash';
  if (report.success && !hasCrashed) throw failureOf(nameOf(options), report.data);
  const text = hasCrashed ? `failed on the GPU: ${report.data.message}` : causeOf(ending);
  if (signal.aborted) throw new Interrupted(`${nameOf(options)} was stopped: it ${text}`);
  return { text, ending };
}

/** Prepares the phase's folder for a process: creates it and removes leftovers of killed processes. */
function preparePhase(runDir: string, phase: PhaseName): void {
  const { root } = runFolder(runDir).phase(phase);
  withFileErrors(root, () => {
    // Create one level at a time, so that a deleted run folder is not created again.
    if (phase.startsWith('MT/')) makeFolder(runFolder(runDir).phase('MT').root);
    makeFolder(root);
  });
  removePhaseLeftovers(runDir, phase);
}

/** The phases as an argument of the command `phase`. */
const nameOf = ({ phases }: Pick<PhaseProcess, 'phases'>) => phases.join(',');

/** A number that grows with every new checkpoint. */
function stepsOf({ runDir, phases }: PhaseProcess): number {
  return phases.reduce((sum, phase) => sum + newestStep(runFolder(runDir).phase(phase).root), 0);
}

function failureOf(phase: string, { kind, message, hint }: z.infer<typeof failureMessage>): Error {
  if (kind === 'input') return new InputError(message, { hint });
  if (kind === 'interrupted') return new Interrupted(message, { hint });
  return new RunError(/^(PT|MT\/\d+|FT|E2E)\b/.test(message) ? message : `${phase}: ${message}`, { hint });
}

function tooOften(options: PhaseProcess, deaths: number, { text, ending }: Death): DiedTooOften {
  const advice = ranOutOfHeap(ending)
    ? 'raise the limit: NODE_OPTIONS=--max-old-space-size=8192 sets it to 8 GB'
    : lackedMemory(ending)
      ? 'give it more memory, or lower training.batch_size or run.parallel'
      : undefined;
  const log = `its log is ${runFolder(options.runDir).phase(options.phases[0]).log}`;
  return new DiedTooOften(`${nameOf(options)} ${text}; ${deaths} times in a row without a new checkpoint`, {
    hint: `${advice ?? log}; run again to resume from its last checkpoint`,
    advice,
  });
}
