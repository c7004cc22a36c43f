import type { Context } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import type { Watcher } from './events.js';
import type { Update } from './protocol.js';

const BEAT_MS = 15_000;

/** Server-sent events: first the whole state, then what changes, until the reader leaves or the server ends. */
export function eventsOf(c: Context, watcher: Watcher, signal: AbortSignal | undefined): Response {
  // The body of an answer to HEAD is never read, nor cancelled: a stream would stay open for ever.
  if (c.req.method === 'HEAD') return c.body(null, 200, { 'content-type': 'text/event-stream' });
  return streamSSE(c, async (stream) => {
    using ending = endOf(stream, signal);
    // Whoever comes back after a loss is told the whole state, and fetches what its own counts lack.
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

/** Writes one message at a time: what a slow reader has not taken must not pile up. */
function sender(stream: SSEStreamingApi, snapshot: () => Update) {
  let isBusy = false;
  let hasMissed = false;
  const write = async (text: () => Promise<unknown>): Promise<void> => {
    isBusy = true;
    await text();
    isBusy = false;
    // A reader slower than the ticks is spared some, and told the whole state once it is through.
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

/** When a reader has left, which may be before anyone asks, or the server ends. Disposed of, nothing listens any more. */
function endOf(stream: SSEStreamingApi, signal: AbortSignal | undefined) {
  let end = () => {};
  const over = new Promise<void>((resolve) => {
    end = resolve;
  });
  // Not called where the stream was aborted before.
  stream.onAbort(end);
  signal?.addEventListener('abort', end, { once: true });
  const isOver = () => stream.aborted || signal?.aborted === true;
  if (isOver()) end();
  return { over, isOver, [Symbol.dispose]: () => signal?.removeEventListener('abort', end) };
}
