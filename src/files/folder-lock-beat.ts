import { readFileSync } from 'node:fs';
import { startThread } from '../base/thread.js';

/**
 * Touches a lock file every `everyMs` for as long as this process lives, from a thread of its own: a step may keep
 * the main thread for minutes, and other machines would take the lock for a dead one's. A process whose lock is
 * another's all the same (it was stopped, or cut off from the file server, for too long) is killed before it can
 * write into what the other holds.
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
      // The folder may be gone for a moment, or for good: what is written next tells.
      return undefined;
    }
  };
  setInterval(() => {
    const found = holder();
    if (found === undefined) return;
    if (found !== mine) {
      writeSync(2, `error: ${path} was taken over: ${found}\n`);
      process.kill(process.pid, 'SIGKILL');
    }
    try {
      const now = new Date();
      utimesSync(path, now, now);
    } catch {
      // As above.
    }
  }, everyMs);
}
