/** What is written while training goes on: one thing at a time. */
export interface BackgroundWriting {
  readonly isBusy: boolean;
  start(written: Promise<void>): void;
  /** Throws what writing failed with, as soon as that is known. */
  check(): Promise<void>;
  /** Waits until what was started is written, or throws what it failed with. */
  done(): Promise<void>;
}

export function backgroundWriting(): BackgroundWriting {
  let pending: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const check = async () => {
    // What the thread has said is heard between steps alone.
    if (pending !== undefined) await new Promise((resolve) => setImmediate(resolve));
    if (failure !== undefined) throw failure.error;
  };
  return {
    get isBusy() {
      return pending !== undefined;
    },
    start(written) {
      pending = written
        .catch((error: unknown) => {
          failure = { error };
        })
        .finally(() => {
          pending = undefined;
        });
    },
    check,
    async done() {
      await pending;
      await check();
    },
  };
}
