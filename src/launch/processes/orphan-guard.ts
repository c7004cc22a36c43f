import { startThread } from '../../base/thread.js';

/** In milliseconds. */
interface GuardTiming {
  readonly lookMs: number;
  /** Time for the main thread to end by itself. */
  readonly graceMs: number;
}

/**
 * Ends this process when its parent process is gone. A separate thread checks this, so it works in the middle of a step and
 * if the process hangs. The run folder stays valid, whenever the process ends.
 */
export function endWithParent(
  { lookMs, graceMs }: GuardTiming = { lookMs: 1000, graceMs: 5000 },
): Disposable {
  const orphaned = () => process.exit(1);
  process.on('disconnect', orphaned);
  const thread = startThread(guard, { parent: process.ppid, lookMs, graceMs });
  thread.unref();
  return {
    [Symbol.dispose]() {
      process.off('disconnect', orphaned);
      void thread.terminate();
    },
  };
}

/** The function that runs in the thread. */
function guard(): void {
  const { workerData } = process.getBuiltinModule('node:worker_threads');
  setInterval(() => {
    if (process.ppid === workerData.parent) return;
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), workerData.graceMs);
  }, workerData.lookMs);
}
