import { readFileSync } from 'node:fs';

/**
 * A failed step: one sentence, and a hint that says how to fix it.
 * `exitCode` is 2 if a setting of the user is wrong (LIBTORCH, a flag), otherwise 1.
 */
export class SetupError extends Error {
  /** @param {string} message @param {{ hint?: string, details?: string, exitCode?: 1 | 2 }} [options] */
  constructor(message, { hint, details, exitCode = 1 } = {}) {
    super(message);
    this.name = 'SetupError';
    this.hint = hint;
    this.details = details;
    this.exitCode = exitCode;
  }
}

const SYSTEM_HINT =
  'Check its permissions and free space; DEEP_INCUBATION_CACHE sets another folder for the cache.';

/** @param {unknown} error @returns {error is NodeJS.ErrnoException} */
function isSystemError(error) {
  return error instanceof Error && 'syscall' in error;
}

/** Prints the details, message and hint of a failure. @param {unknown} error @returns the exit code */
export function reportFailure(error) {
  if (isSystemError(error)) return reportFailure(new SetupError(`${error.message}.`, { hint: SYSTEM_HINT }));
  if (!(error instanceof SetupError)) throw error;
  const lines = [error.details?.trimEnd(), `error: ${error.message}`, error.hint && `  ${error.hint}`];
  process.stderr.write(`${lines.filter(Boolean).join('\n')}\n`);
  return error.exitCode;
}

/**
 * Runs a script's body, which returns the exit code. With `--help` or `-h` as the first argument, prints the comment at the top of
 * the script instead. A closed pipe (`| head`) ends the script without an error.
 * @param {() => Promise<number | undefined>} body
 */
export async function main(body) {
  const [, script = '', first] = process.argv;
  process.stdout.on('error', (error) => {
    if (!('code' in error && error.code === 'EPIPE')) throw error;
    process.exit();
  });
  if (first === '--help' || first === '-h') {
    process.stdout.write(usageOf(script));
    return;
  }
  try {
    process.exitCode = (await body()) ?? 0;
  } catch (error) {
    process.exitCode = reportFailure(error);
  }
}

/** The first comment of a script, which says what it does and how it is called. @param {string} script */
function usageOf(script) {
  const [, comment = ''] = /^\/\*\*\n(.*?)^ \*\//ms.exec(readFileSync(script, 'utf8')) ?? [];
  return comment.replace(/^ \* ?/gm, '');
}
