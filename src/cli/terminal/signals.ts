import { constants } from 'node:os';
import { Interrupted } from '../../base/errors.js';
import { Stopped } from './failure.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** A second signal within this time counts as the same one: npx forwards signals that the terminal has already sent. */
const SAME_MS = 200;
/** The same for torchrun, srun and mpirun, which also forward signals, but with a longer delay. */
const LAUNCHED_SAME_MS = 2000;

/** The result of listening for signals. */
export interface Stop {
  /** Aborted by the first signal; the same signal again ends the process immediately. */
  readonly signal: AbortSignal;
  /** The error to throw: `Stopped` if a signal caused `error`, otherwise `error` itself. */
  blame(error: unknown, hint?: string): unknown;
  /** Restores the default handling of signals. */
  [Symbol.dispose](): void;
}

interface StopOptions {
  /** Called on the first signal. */
  readonly onStop?: () => void;
  /** Whether a launcher started this process: launchers may repeat SIGTERM, and end the process with SIGKILL. */
  readonly isLaunched?: boolean;
}

/** Different signals count as one request to stop: with torchrun, Ctrl-C causes both SIGINT and SIGTERM. */
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
