import { DeepIncubationError, errorText } from '../base/errors.js';
import { makeFolders } from '../files/atomic.js';
import { isSelf, liveHolder } from '../files/folder-lock.js';
import type { PhaseName } from '../recipe/phase.js';
import { type PhaseStatus, writeStatus } from '../run/phase-status.js';
import { runFolder } from '../run/run-folder.js';

/** Status of a phase that its own process writes, because no process of `run` supervises it. */
export interface OwnRecord {
  running(): void;
  done(): void;
  stopped(): void;
  failed(error: unknown): void;
}

/**
 * @param env SLURM_JOB_ID and related variables name the job; DEEP_INCUBATION_RESTARTS and DEEP_INCUBATION_LAST_ERROR, set by
 *   a batch script that has restarted the phase, state how often and why
 */
export function ownRecord(runDir: string, phase: PhaseName, env: NodeJS.ProcessEnv): OwnRecord {
  const { root } = runFolder(runDir).phase(phase);
  const job = jobOf(env);
  const restarts = Number(env.DEEP_INCUBATION_RESTARTS ?? env.TORCHELASTIC_RESTART_COUNT);
  const write = (state: PhaseStatus['state'], more: Partial<PhaseStatus> = {}) => {
    const holder = liveHolder(root);
    // Another process holds the phase and writes its status.
    if (holder !== undefined && !isSelf(holder)) return;
    writeStatus(runDir, phase, {
      state,
      pid: null,
      last_error: env.DEEP_INCUBATION_LAST_ERROR ?? null,
      restarts: Number.isSafeInteger(restarts) ? restarts : 0,
      ...(job !== undefined && { job }),
      ...more,
    });
  };
  return {
    running() {
      try {
        makeFolders(root);
      } catch {
        // Ignored: the training reports the error.
      }
      write('running', { pid: process.pid });
    },
    done: () => write('done'),
    stopped: () => write('stopped'),
    failed: (error) =>
      write('failed', {
        last_error: errorText(error),
        ...(error instanceof DeepIncubationError && error.hint !== undefined && { hint: error.hint }),
      }),
  };
}

function jobOf(env: NodeJS.ProcessEnv): string | undefined {
  const { SLURM_ARRAY_JOB_ID: array, SLURM_ARRAY_TASK_ID: task, SLURM_JOB_ID: job } = env;
  return array !== undefined && task !== undefined ? `${array}_${task}` : job;
}
