import { CommanderError } from 'commander';
import { DeepIncubationError, errorText, InputError, RunError } from '../../base/errors.js';
import { visible } from '../../base/visible.js';

/** The work was stopped by a signal and can be resumed. */
export class Stopped extends RunError {
  /** 128 + the signal's number, as in shells. */
  readonly exitCode: number;

  constructor(message: string, options: { readonly exitCode: number; readonly hint?: string }) {
    super(message, options);
    this.exitCode = options.exitCode;
  }
}

/** 1: the work failed; 2: the input or the command line was invalid; 0: commander printed help. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Stopped) return error.exitCode;
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  return error instanceof InputError ? 2 : 1;
}

/** The text for stderr: message and hint; the stack only for a defect, and only when debugging. */
export function explain(error: unknown, env: NodeJS.ProcessEnv): string {
  // Commander has already printed its own message.
  if (error instanceof CommanderError) return '';
  const lines = [`error: ${errorText(error)}`];
  if (error instanceof DeepIncubationError && error.hint !== undefined) lines.push(`  hint: ${error.hint}`);
  if (!isExpected(error)) {
    if (env.DEEP_INCUBATION_DEBUG || env.DEBUG) lines.push(stackOf(error));
    else lines.push('  hint: this may be a bug; set DEEP_INCUBATION_DEBUG=1 to print the stack trace');
  }
  return `${visible(lines.join('\n'))}\n`;
}

function isExpected(error: unknown): boolean {
  return error instanceof InputError || error instanceof RunError;
}

function stackOf(error: unknown): string {
  return error instanceof Error ? (error.stack ?? '') : '';
}
