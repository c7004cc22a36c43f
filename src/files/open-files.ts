import { RunError } from '../base/errors.js';

/** Error for reaching the system's or the user's limit of open files. */
export function tooManyFiles(what: string, cause?: unknown): RunError {
  return new RunError(`Too many files are open: ${what}`, {
    hint: 'Raise the limit with `ulimit -n 65536`, or lower run.workers or run.parallel, and repeat the command.',
    cause,
  });
}
