import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { InputError, Interrupted, RunError } from '../base/errors.js';
import { makeFolder } from '../files/atomic.js';
import { withFileErrors } from '../files/file-errors.js';
import { changedThreads } from '../phase/changed-threads.js';
import type { PhaseName } from '../recipe/phase.js';
import { newestStep } from '../run/checkpoint-store.js';
import { readResult, runFolder } from '../run/run-folder.js';
import { DiedTooOften } from './died-too-often.js';
import { removePhaseLeftovers } from './leftovers.js';
import { createRecord, type Death, type PhaseRecord } from './phase-record.js';
import { causeOf, lackedMemory, ranOutOfHeap } from './processes/ending.js';
import type { Timing } from './processes/process-watch.js';
import { runRanks } from './processes/ranks.js';

/** Message that a phase's process sends before it fails. */
export const failureMessage = z.object({
  type: z.literal('failed'),
  /** crash: treated as if the process had died. A restart resumes the phase. */
  kind: z.enum(['input', 'run', 'interrupted', 'crash']),
  message: z.string(),
  hint: z.string().optional(),
});

export type FailureKind = z.infer<typeof failureMessage>['kind'];

export interface PhaseProcess {
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
  const said = failureMessage.safeParse(message);
  const hasCrashed = said.success && said.data.kind === 'crash';
  if (said.success && !hasCrashed) throw failureOf(nameOf(options), said.data);
  const text = hasCrashed ? `failed on the GPU: ${said.data.message}` : causeOf(ending);
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
