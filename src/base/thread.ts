import { Worker } from 'node:worker_threads';
import { RunError } from './errors.js';

/** Milliseconds before each further try; a machine is short of threads or memory for moments. */
const PAUSES = [100, 400, 1500];

/**
 * Runs a function in a thread of its own, with `data` as its `workerData`. It is passed as its text, since no file's
 * name would do for both the built program and tests, which run from the sources: it can use what Node gives it alone.
 *
 * @throws RunError where the system has no room for another thread, for two seconds
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
  return new RunError(`the system starts no further thread (${reason})`, {
    hint: "look at the user's limit (ulimit -u), the container's (pids.max) and at the memory, then run the same again",
    cause,
  });
}
