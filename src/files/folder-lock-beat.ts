import { readFileSync } from 'node:fs';
import { startThread } from '../base/thread.js';

/**
 * Touches a lock file every `everyMs` while this process is alive, from a separate thread: a step may block the main
 * thread for minutes, and other machines would consider the holder dead. If another process has taken the lock over
 * nevertheless (this one was suspended, or cut off from the file server, for too long), this process is killed before
 * it can write into the other's folder.
 */
export function startBeat(path: string, everyMs: number): { stop(): void } {
  const thread = startThread(beat, { path, everyMs, mine: readFileSync(path, 'utf8') });
  thread.unref();
  return { stop: () => void thread.terminate() };
}

/** Runs in the thread. */
function beat(): void {
  const { readFileSync, utimesSync, writeSync } = process.getBuiltinModule('node:fs');
  const { workerData } = process.getBuiltinModule('node:worker_threads');
  const { path, everyMs, mine } = workerData;
  const holder = () => {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // The folder may be missing temporarily or permanently; the next write to it reports an error.
      return undefined;
    }
  };
  setInterval(() => {
    const found = holder();
    if (found === undefined) return;
    if (found !== mine) {
      writeSync(2, `error: ${path} was taken over by another process: ${found}\n`);
      process.kill(process.pid, 'SIGKILL');
    }
    try {
      const now = new Date();
      utimesSync(path, now, now);
    } catch {
      // Ignored for the same reason.
    }
  }, everyMs);
}
