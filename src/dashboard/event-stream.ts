import type { Context } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import type { Watcher } from './events.js';
import type { Update } from './protocol.js';

const BEAT_MS = 15_000;

/** Server-sent events: the whole state first, then changes, until the client disconnects or the server shuts down. */
export function eventsOf(c: Context, watcher: Watcher, signal: AbortSignal | undefined): Response {
  // The body of a HEAD response is neither read nor cancelled, so the stream would stay open forever.
  if (c.req.method === 'HEAD') return c.body(null, 200, { 'content-type': 'text/event-stream' });
  return streamSSE(c, async (stream) => {
    using ending = endOf(stream, signal);
    // A client that reconnects receives the whole state, and then fetches the records that it is missing.
    await watcher.catchUp();
    if (ending.isOver()) return;
    await stream.writeSSE({ data: JSON.stringify(watcher.snapshot()), retry: 1000 });
    if (ending.isOver()) return;
    const send = sender(stream, () => watcher.snapshot());
    const beat = setInterval(send.beat, BEAT_MS);
    const stopListening = watcher.listen(send.update);
    try {
      await ending.over;
    } finally {
      stopListening();
      clearInterval(beat);
    }
  });
}

/** Writes one message at a time, so that messages for a slow client do not pile up. */
function sender(stream: SSEStreamingApi, snapshot: () => Update) {
  let isBusy = false;
  let hasMissed = false;
  const write = async (text: () => Promise<unknown>): Promise<void> => {
    isBusy = true;
    await text();
    isBusy = false;
    // A client that is slower than the ticks misses some updates, and receives the whole state when it is ready again.
    if (!hasMissed) return;
    hasMissed = false;
    await update(snapshot());
  };
  const update = async (what: Update): Promise<void> => {
    if (isBusy) hasMissed = true;
    else await write(() => stream.writeSSE({ data: JSON.stringify(what) }));
  };
  const beat = () => {
    if (!isBusy) void write(() => stream.write(': still here\n\n'));
  };
  return { update, beat };
}

/**
 * Resolves `over` when the client disconnects, possibly before this call, or when the server shuts down. Disposal removes the
 * listener.
 */
function endOf(stream: SSEStreamingApi, signal: AbortSignal | undefined) {
  let end = () => {};
  const over = new Promise<void>((resolve) => {
    end = resolve;
  });
  // The callback does not run if the stream was aborted earlier.
  stream.onAbort(end);
  signal?.addEventListener('abort', end, { once: true });
  const isOver = () => stream.aborted || signal?.aborted === true;
  if (isOver()) end();
  return { over, isOver, [Symbol.dispose]: () => signal?.removeEventListener('abort', end) };
}
