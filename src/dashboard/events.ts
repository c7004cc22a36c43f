import { randomUUID } from 'node:crypto';
import { setImmediate as breathe, setTimeout as sleep } from 'node:timers/promises';
import type { Context } from 'hono';
import { type SSEStreamingApi, streamSSE } from 'hono/streaming';
import { type Columns, pickRows } from './columns.js';
import { type PhaseFeed, STEP_COLUMNS } from './phase-feed.js';
import type { Points, RunState, Update } from './protocol.js';
import type { RunFeed } from './run-feed.js';

/** Reads the runs while there are listeners, and reports changes: at most one message per tick. */
export interface Watcher {
  /** Reads all new data. With a long history it returns after reading the end, and reads the rest in the background. */
  catchUp(): Promise<void>;
  /** The whole state, as the first message. */
  snapshot(): Update;
  /** @returns a function that removes the listener */
  listen(listener: (update: Update) => void): () => void;
  close(): void;
}

const PATIENCE_MS = 100;
/** Maximum records of a phase in a message; if there are more, a selection keeps the extremes of the loss. */
const MOST = 64;

export function createWatcher(runs: readonly RunFeed[], tickMs = 250): Watcher {
  const boot = randomUUID();
  const listeners = new Set<(update: Update) => void>();
  const sent = new Map<number, string>();
  const marks = new Map<string, Mark>();
  let timer: NodeJS.Timeout | undefined;
  let reading: Promise<void> | undefined;
  let closed = false;

  const read = async () => {
    let unread = runs.flatMap(({ phases }) => phases);
    // Round-robin, so that the end of every file is read before the whole of any file.
    while (unread.length > 0 && !closed) {
      const more: PhaseFeed[] = [];
      for (const feed of unread) {
        if (feed.poll()) more.push(feed);
        await breathe();
      }
      unread = more;
    }
  };
  const catchUp = async () => {
    for (const run of runs) run.look();
    reading ??= read().finally(() => {
      reading = undefined;
    });
    const patience = new AbortController();
    await Promise.race([reading, sleep(PATIENCE_MS, undefined, patience).catch(() => {})]);
    patience.abort();
  };
  const states = () => runs.map((run) => run.state());

  const tick = async () => {
    await catchUp();
    const changed = states().filter((state) => changes(sent, state));
    const points = runs.flatMap((run) => newPoints(run, marks));
    if (changed.length + points.length > 0) {
      for (const listener of listeners) listener({ boot, runs: changed, points });
    }
    if (listeners.size > 0 && !closed) timer = setTimeout(tick, tickMs);
    else timer = undefined;
  };

  return {
    catchUp,
    snapshot: () => ({ boot, runs: states(), points: [] }),
    listen: (listener) => {
      listeners.add(listener);
      if (timer === undefined) timer = setTimeout(tick, tickMs);
      return () => void listeners.delete(listener);
    },
    close: () => {
      closed = true;
      clearTimeout(timer);
      listeners.clear();
    },
  };
}

interface Mark {
  readonly generation: number;
  readonly count: number;
}

function changes(sent: Map<number, string>, state: RunState): boolean {
  const text = JSON.stringify(state);
  if (sent.get(state.id) === text) return false;
  sent.set(state.id, text);
  return true;
}

function newPoints(run: RunFeed, marks: Map<string, Mark>): Points[] {
  return run.phases.flatMap((feed) => {
    const place = { run: run.id, phase: feed.phase, generation: feed.generation };
    const since = (kind: Points['kind'], length: number) => {
      const key = `${run.id} ${feed.phase} ${kind}`;
      const mark = marks.get(key);
      marks.set(key, { generation: feed.generation, count: length });
      return mark?.generation === feed.generation ? mark.count : 0;
    };
    const part = <Name extends string>(
      kind: Points['kind'],
      table: Columns<Name>,
      names: readonly Name[],
    ) => {
      const from = since(kind, table.length);
      if (from === table.length) return [];
      return [{ ...place, kind, from, to: table.length, columns: selected(table, names, from) }];
    };
    return [...part('step', feed.steps, STEP_COLUMNS), ...part('eval', feed.evals, feed.evals.names)];
  });
}

function selected<Name extends string>(
  table: Columns<Name>,
  names: readonly Name[],
  from: number,
): Points['columns'] {
  const part = (name: Name) => table.column(name).subarray(from);
  const rows = pickRows(part('step' as Name), part('loss' as Name), { most: MOST });
  const cells = (name: Name) => {
    const column = part(name);
    return rows.map((row) => (Number.isFinite(column[row]) ? column[row] : null));
  };
  return Object.fromEntries(names.map((name) => [name, cells(name)]));
}

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
