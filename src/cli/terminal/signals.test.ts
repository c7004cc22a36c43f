import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Interrupted } from '../../base/errors.js';
import { type Stop, stopOnSignals } from './signals.js';

let stop: Stop;
let exits: unknown[];
beforeEach(() => {
  vi.useFakeTimers();
  exits = [];
  vi.spyOn(process, 'exit').mockImplementation((code) => {
    exits.push(code);
    return undefined as never;
  });
});
afterEach(() => {
  stop[Symbol.dispose]();
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** @param signals each with the milliseconds before it */
function receive(...signals: [ms: number, name: NodeJS.Signals][]): void {
  for (const [ms, name] of signals) {
    vi.advanceTimersByTime(ms);
    process.emit(name);
  }
}

test('the first signal asks to stop, once, and names the exit code', () => {
  const onStop = vi.fn();
  stop = stopOnSignals({ onStop });
  receive([0, 'SIGTERM'], [5000, 'SIGINT']);
  expect(onStop).toHaveBeenCalledOnce();
  expect(stop.signal.aborted).toBe(true);
  expect(stop.blame(new Interrupted('stopped'))).toMatchObject({ exitCode: 143 });
  expect(exits).toEqual([]);
});

test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
  '%s again: at once, unless it is the same one passed on',
  (name) => {
    stop = stopOnSignals();
    receive([0, name], [20, name]);
    expect(exits).toEqual([]);
    receive([300, name]);
    expect(exits).toHaveLength(1);
  },
);

test('different signals are one request', () => {
  stop = stopOnSignals();
  receive([0, 'SIGINT'], [1000, 'SIGTERM'], [1000, 'SIGHUP']);
  expect(exits).toEqual([]);
  receive([1000, 'SIGTERM']);
  expect(exits).toEqual([143]);
});

test('under a launcher: a forwarded signal is the same request; only a second Ctrl-C ends at once', () => {
  stop = stopOnSignals({ isLaunched: true });
  receive([0, 'SIGINT'], [500, 'SIGTERM'], [500, 'SIGINT'], [60_000, 'SIGTERM']);
  expect(exits).toEqual([]);
  receive([0, 'SIGINT']);
  expect(exits).toEqual([130]);
});
