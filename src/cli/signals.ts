import { constants } from 'node:os';
import { Interrupted } from '../incubation/launch/interrupted.js';
import { Stopped } from './failure.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** What came of listening for signals. */
export interface Stop {
  /** Aborted by the first signal; a second one ends the process at once. */
  readonly signal: AbortSignal;
  /** `error` itself, or what to throw instead where a signal has caused it. */
  blame(error: unknown, hint?: string): unknown;
  /** Leaves signals to their defaults again. */
  [Symbol.dispose](): void;
}

/** @param onStop is called at the first signal */
export function stopOnSignals(onStop: () => void = () => {}): Stop {
  const controller = new AbortController();
  let received: (typeof SIGNALS)[number] | undefined;
  const listeners = SIGNALS.map((name) => {
    const listener = () => {
      if (received !== undefined) process.exit(128 + constants.signals[name]);
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
