/** A write that runs while training continues. There is at most one at a time. */
export interface BackgroundWriting {
  readonly isBusy: boolean;
  start(written: Promise<void>): void;
  /** Throws the error of a failed write as soon as it is known. */
  check(): Promise<void>;
  /** Waits for the current write to finish, and throws its error if it failed. */
  done(): Promise<void>;
}

export function backgroundWriting(): BackgroundWriting {
  let pending: Promise<void> | undefined;
  let failure: { readonly error: unknown } | undefined;
  const check = async () => {
    // Let the event loop deliver messages from the writing thread.
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
