import { setImmediate as eventLoopTurn } from 'node:timers/promises';

export interface InOrderOptions<Item> {
  readonly from: number;
  /** The last step is `to - 1`. */
  readonly to: number;
  /** Number of pending promises, in addition to the consumer's current item. */
  readonly ahead: number;
  /** The signal is aborted when no more items are needed. */
  readonly load: (step: number, signal: AbortSignal) => Item | Promise<Item>;
}

/**
 * Yields the results of `load` for from ... to-1, in order. If `load` returns promises, up to `ahead` of them are started in
 * advance; otherwise each item is made on request. If the consumer stops, pending loads are aborted.
 */
export async function* inOrder<Item>({ from, to, ahead, load }: InOrderOptions<Item>): AsyncGenerator<Item> {
  const abort = new AbortController();
  const queue: Promise<Item>[] = [];
  let next = from;
  let promises = false;
  try {
    while (next < to || queue.length > 0) {
      // Steps may be synchronous. Without an event loop turn between them, pending loads could not complete, and no signals or
      // timers would be handled.
      await eventLoopTurn();
      const loading = queue.shift() ?? load(next++, abort.signal);
      promises ||= loading instanceof Promise;
      while (promises && next < to && queue.length < ahead) {
        queue.push(started(load, next++, abort.signal));
      }
      yield await loading;
    }
  } finally {
    abort.abort();
  }
}

/** Starts a load. Its failure is reported when it is awaited, and ignored if the consumer stops before that. */
function started<Item>(load: InOrderOptions<Item>['load'], step: number, signal: AbortSignal): Promise<Item> {
  const item = (async () => load(step, signal))();
  item.catch(() => {});
  return item;
}
