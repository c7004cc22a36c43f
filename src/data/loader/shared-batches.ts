/** One of several readers of the same batches. */
export interface Member<T> {
  /**
   * Returns the batches of `open(from)` for this member. Reading starts when every member has asked for a batch or left.
   * @param from position of the first batch that this member needs
   */
  join(from: number, open: (from: number) => AsyncIterable<T>): AsyncIterable<T>;
  /** Leaves the group, if the member has nothing to read or failed. Other members then no longer wait for it. */
  leave(): void;
  /** Milliseconds, since the last call, that this member waited for other members or for their share of the reading. */
  takeIdle(): number;
}

const LEFT = Number.POSITIVE_INFINITY;

/**
 * Lets `count` readers share one sequence in lock-step. Each batch is read once and passed from member to member: a member gets
 * it when the previous member asks for its next batch. A member that starts at a later batch is skipped until then.
 */
export function shareBatches<T>(
  count: number,
  now: () => number = () => performance.now(),
): readonly Member<T>[] {
  /** The next batch that each member needs; -Infinity until it first asks, Infinity after it leaves. */
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
      // The error is thrown to the member whose turn it is.
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
