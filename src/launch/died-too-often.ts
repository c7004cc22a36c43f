import { RunError } from '../base/errors.js';

/** A phase's process died so often that it is not started again. */
export class DiedTooOften extends RunError {
  /** What might help, where that can be told; the hint says how to go on too. */
  readonly advice: string | undefined;

  constructor(message: string, options: { readonly hint: string; readonly advice: string | undefined }) {
    super(message, options);
    this.advice = options.advice;
  }
}
