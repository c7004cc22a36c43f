import { Worker } from 'node:worker_threads';
import { RunError } from './errors.js';

/** Milliseconds before each retry: a shortage of threads or memory is often brief. */
const PAUSES = [100, 400, 1500];

/**
 * Runs a function in a new thread, with `data` as its `workerData`. The function is passed as source text, because no
 * file name works for both the built program and tests, which run from the sources. It can use only Node's built-ins.
 *
 * @throws RunError if the system cannot start another thread within two seconds
 */
export function startThread(run: () => void, data?: unknown): Worker {
  for (let tries = 0; ; tries++) {
    try {
      return new Worker(`(${run})()`, { eval: true, workerData: data });
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'ERR_WORKER_INIT_FAILED') throw error;
      if (tries === PAUSES.length) throw noRoom(message, error);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSES[tries]);
    }
  }
}

function noRoom(reason: string, cause: unknown): RunError {
  return new RunError(`the system failed to start another thread (${reason})`, {
    hint: 'check the process limits of the user (ulimit -u) and the container (pids.max), and the free memory, then repeat the command',
    cause,
  });
}
