import { RunError } from '../base/errors.js';

/** A phase's process has died too often to be started again. */
export class DiedTooOften extends RunError {
  /** Advice on the cause, if it is known. The hint also says how to resume. */
  readonly advice: string | undefined;

  constructor(message: string, options: { readonly hint: string; readonly advice: string | undefined }) {
    super(message, options);
    this.advice = options.advice;
  }
}
