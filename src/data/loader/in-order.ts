import { setImmediate as eventLoopTurn } from 'node:timers/promises';

export interface InOrderOptions<Item> {
  readonly from: number;
  /** The last is `to - 1`. */
  readonly to: number;
  /** Promises under way beside the item that the consumer has. */
  readonly ahead: number;
  /** The signal is aborted when no more is wanted. */
  readonly load: (step: number, signal: AbortSignal) => Item | Promise<Item>;
}

/**
 * What `load` gives for from ... to-1, in order: where it promises, some are under way ahead; else each is made
 * when it is asked for. Ends what it began if the consumer stops.
 */
export async function* inOrder<Item>({ from, to, ahead, load }: InOrderOptions<Item>): AsyncGenerator<Item> {
  const abort = new AbortController();
  const queue: Promise<Item>[] = [];
  let next = from;
  let promises = false;
  try {
    while (next < to || queue.length > 0) {
      // Steps may be synchronous: without a turn of the event loop between them, nothing that is under way
      // would arrive, and no signal or timer.
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

/** Starts a load whose failure shows when it is awaited, and nowhere if the consumer stops before. */
function started<Item>(load: InOrderOptions<Item>['load'], step: number, signal: AbortSignal): Promise<Item> {
  const item = (async () => load(step, signal))();
  item.catch(() => {});
  return item;
}
