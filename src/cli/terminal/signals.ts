import { constants } from 'node:os';
import { Interrupted } from '../../base/interrupted.js';
import { Stopped } from './failure.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A signal that comes twice within so many milliseconds was sent once: npx passes on what the terminal has sent too. */
const SAME_MS = 200;
/** The same under torchrun, srun or mpirun, which pass signals on as well, at their leisure. */
const LAUNCHED_SAME_MS = 2000;

/** What came of listening for signals. */
export interface Stop {
  /** Aborted by the first signal; the same one again ends the process at once. */
  readonly signal: AbortSignal;
  /** `error` itself, or what to throw instead where a signal has caused it. */
  blame(error: unknown, hint?: string): unknown;
  /** Leaves signals to their defaults again. */
  [Symbol.dispose](): void;
}

interface StopOptions {
  /** Called at the first signal. */
  readonly onStop?: () => void;
  /** A launcher has started this process: it repeats SIGTERM as it likes, and ends it with SIGKILL. */
  readonly isLaunched?: boolean;
}

/** Different signals are one request to stop: of Ctrl-C under torchrun come SIGINT and SIGTERM. */
export function stopOnSignals({ onStop = () => {}, isLaunched = false }: StopOptions = {}): Stop {
  const controller = new AbortController();
  const sameMs = isLaunched ? LAUNCHED_SAME_MS : SAME_MS;
  const firsts = new Map<string, number>();
  let received: (typeof SIGNALS)[number] | undefined;
  const listeners = SIGNALS.map((name) => {
    const listener = () => {
      const first = firsts.get(name);
      const isAgain = first !== undefined && performance.now() - first >= sameMs;
      if (isAgain && (name === 'SIGINT' || !isLaunched)) process.exit(128 + constants.signals[name]);
      if (first === undefined) firsts.set(name, performance.now());
      if (received !== undefined) return;
      received = name;
      onStop();
      controller.abort();
    };
    process.on(name, listener);
    return { name, listener };
  });
  return {
    signal: controller.signal,
    blame: (error, hint) => {
      if (received === undefined || !(error instanceof Interrupted)) return error;
      const exitCode = 128 + constants.signals[received];
      return new Stopped(error.message, { exitCode, ...(hint === undefined ? {} : { hint }) });
    },
    [Symbol.dispose]: () => {
      for (const { name, listener } of listeners) process.off(name, listener);
    },
  };
}
