import { accessSync, constants, existsSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { DeepIncubationError, errorText, InputError, RunError } from '../base/errors.js';

const NOT_WRITABLE = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'EEXIST', 'ENAMETOOLONG']);
const OPEN_FILES = new Set(['EMFILE', 'ENFILE']);
/** With fewer, the modules of a command cannot all be loaded. */
const FEW_FILES = 256;
const GONE = 'The folder may have been deleted or moved, or its disk removed. It is not created again.';
const NO_SPACE = new Set(['ENOSPC', 'EDQUOT']);

/**
 * Runs file operations on `path` and names it in errors: `InputError` if the user's folder cannot be
 * used, `RunError` if the disk is full or fails.
 */
export function withFileErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw fileError(error, path);
  }
}

/** Converts errors of a full or read-only disk under `path` that were not caught by `withFileErrors`; returns the rest as is. */
export function asFileError(error: unknown, path: string): unknown {
  if (error instanceof DeepIncubationError) return error;
  const code = systemCode(error);
  return NO_SPACE.has(code) || code === 'EROFS' ? fileError(error, path) : error;
}

/**
 * Converts errors about resources that the system withdrew during a run to `RunError`: a disk that became read-only, and too
 * many open files. Returns all other errors as they are.
 */
export function asLostResource(error: unknown): unknown {
  const isReadOnly = systemCode(error) === 'EROFS' && error instanceof InputError;
  if (isReadOnly) {
    return new RunError(error.message, {
      hint: 'The disk became read-only: `dmesg` may say why. When it is writable again, repeat the command to resume.',
      cause: error,
    });
  }
  return tooManyOpen(error) ?? error;
}

/** A `RunError` if the error, or one that it wraps, is about too many open files; else undefined. */
export function tooManyOpen(error: unknown): RunError | undefined {
  if (error instanceof RunError) return undefined;
  const code = systemCode(error);
  // Node does not find a module whose package.json it could not open.
  const limit = code === 'ERR_MODULE_NOT_FOUND' ? openFilesLimit() : Number.POSITIVE_INFINITY;
  if (limit < FEW_FILES) return tooManyFiles(`the limit is ${limit} (${errorText(error)})`, error);
  return OPEN_FILES.has(code) ? tooManyFiles(errorText(error), error) : undefined;
}

/** Read from Node's report, which opens no file. */
function openFilesLimit(): number {
  const report: unknown = process.report.getReport();
  return Number(Object(report).userLimits?.open_files?.soft);
}

/** @throws RunError if the run folder no longer exists */
export function requireThere(runDir: string): void {
  if (existsSync(runDir)) return;
  throw new RunError(`${runDir} no longer exists.`, { hint: GONE });
}

function fileError(error: unknown, path: string): DeepIncubationError {
  if (error instanceof DeepIncubationError && error.hint !== undefined) return error;
  const code = systemCode(error);
  if (NO_SPACE.has(code)) {
    return new RunError(`The disk is full: ${path} could not be written.`, {
      hint: 'Data written before is intact. Free some space, then repeat the command to resume.',
      cause: error,
    });
  }
  if (NOT_WRITABLE.has(code)) {
    return new InputError(`Cannot write ${path}: ${errorText(error)}`, {
      hint: 'Choose another folder with --out, or make this one writable.',
      cause: error,
    });
  }
  if (code === 'ENOENT') {
    const denial = denialOf(path);
    if (denial !== undefined) return fileError(denial, path);
    return new RunError(`Cannot write ${path}: it no longer exists.`, {
      hint: GONE,
      cause: error,
    });
  }
  return new RunError(`Cannot write ${path}: ${errorText(error)}`, { cause: error });
}

/** The error that makes the nearest existing parent of `path` unwritable: Node's recursive `mkdir` reports ENOENT for it. */
function denialOf(path: string): unknown {
  const parent = dirname(resolve(path));
  if (!existsSync(parent)) return denialOf(parent);
  try {
    accessSync(parent, constants.W_OK);
    return undefined;
  } catch (error) {
    return error;
  }
}

/** The system's code of an error or of the error that it wraps. */
function systemCode(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return code === '' ? systemCode(error.cause) : code;
}

/** Error for reaching the system's or the user's limit of open files. */
export function tooManyFiles(what: string, cause?: unknown): RunError {
  return new RunError(`Too many files are open: ${what}`, {
    hint: 'Raise the limit with `ulimit -n 65536`, or lower run.workers or run.parallel, and repeat the command.',
    cause,
  });
}
