/** One of those that read the same batches. */
export interface Member<T> {
  /**
   * What this member reads: what `open(from)` gives. Nothing is read before every member has joined or left.
   * @param from place of the first batch that it wants
   */
  join(from: number, open: (from: number) => AsyncIterable<T>): AsyncIterable<T>;
  /** For one that has nothing to read, or failed: the others no longer wait for it. */
  leave(): void;
  /** Milliseconds since the last call in which this member waited for the others, or for their share of the reading. */
  takeIdle(): number;
}

const LEFT = Number.POSITIVE_INFINITY;

/**
 * Lets `count` readers share one sequence, in lock-step: each batch is read once, and given to one member after another,
 * each time once the one before it asks for its next. A member that starts later is passed over until then.
 */
export function shareBatches<T>(
  count: number,
  now: () => number = () => performance.now(),
): readonly Member<T>[] {
  /** The batch that each member wants next; none known before it joins. */
  const wanted: number[] = Array(count).fill(Number.NEGATIVE_INFINITY);
  const waiting = new Set<() => void>();
  let source: AsyncIterator<T> | undefined;
  let opened: ((from: number) => AsyncIterable<T>) | undefined;
  let at = -1;
  let current: Promise<IteratorResult<T>> | undefined;
  let readingMs = 0;

  const advance = (): void => {
    const next = Math.min(...wanted);
    if (next === LEFT) {
      void source?.return?.();
      source = undefined;
    } else if (next > at && opened !== undefined) {
      const steps = source === undefined ? 1 : next - at;
      source ??= opened(next)[Symbol.asyncIterator]();
      current = readTo(source, steps);
      // Whoever's turn it is meets the error.
      current.catch(() => {});
      at = next;
    }
    for (const wake of waiting) wake();
  };
  const readTo = async (from: AsyncIterator<T>, steps: number): Promise<IteratorResult<T>> => {
    const started = now();
    let read = await from.next();
    for (let i = 1; i < steps && !read.done; i++) read = await from.next();
    readingMs = now() - started;
    return read;
  };
  const turnOf = (member: number): boolean =>
    at === wanted[member] && wanted.every((other, i) => i >= member || other > at);

  return Array.from({ length: count }, (_, member): Member<T> => {
    let idle = 0;
    const leave = (): void => {
      wanted[member] = LEFT;
      advance();
    };
    const take = async (): Promise<IteratorResult<T>> => {
      const asked = now();
      advance();
      while (!turnOf(member)) {
        await new Promise<void>((resolve) => {
          const wake = () => {
            waiting.delete(wake);
            resolve();
          };
          waiting.add(wake);
        });
      }
      const read = await (current as Promise<IteratorResult<T>>);
      idle += Math.max(0, now() - asked - readingMs / count);
      return read;
    };
    return {
      leave,
      takeIdle: () => {
        const taken = idle;
        idle = 0;
        return taken;
      },
      join(from, open) {
        opened ??= open;
        let next = from - 1;
        return {
          [Symbol.asyncIterator]: () => ({
            next: async () => {
              next++;
              wanted[member] = next;
              const read = await take();
              if (read.done) leave();
              return read;
            },
            return: async () => {
              leave();
              return { done: true, value: undefined };
            },
          }),
        };
      },
    };
  });
}
