import { RunError } from '../base/errors.js';

/** The system or the user's limit lets no further file be opened. */
export function tooManyFiles(what: string, cause?: unknown): RunError {
  return new RunError(`Too many files are open: ${what}`, {
    hint: 'Raise the limit with `ulimit -n 65536`, or lower run.workers or run.parallel, and start the same command again.',
    cause,
  });
}
