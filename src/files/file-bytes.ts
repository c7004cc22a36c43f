import { closeSync, fsyncSync, openSync, read, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { promisify } from 'node:util';
import { errorText, InputError } from '../base/errors.js';
import { makeFolders, syncFolder, temporaryPath } from './atomic.js';
import { withFileErrors } from './file-errors.js';
import { openRegular } from './small-file.js';

/** Below Linux's and Node's limit of 2^31 - 1 bytes per call. */
const CHUNK_BYTES = 2 ** 30;

/** Chunk size when a callback sees each chunk: small enough to stay in the CPU's cache. */
const SEEN_CHUNK_BYTES = 2 ** 20;

const readBytes = promisify(read);

export interface OpenFile {
  readonly path: string;
  readonly descriptor: number;
  /** Bytes. */
  readonly size: number;
}

/** Opens a regular file, runs `use` on it, and closes it. Throws `InputError` if it cannot be opened. */
export function withFile<T>(path: string, use: (file: OpenFile) => T): T {
  const file = openFile(path);
  try {
    return use(file);
  } finally {
    closeSync(file.descriptor);
  }
}

/** `withFile` for asynchronous work. */
export async function withFileAsync<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T> {
  const file = openFile(path);
  try {
    return await use(file);
  } finally {
    closeSync(file.descriptor);
  }
}

/**
 * Exactly `length` bytes from `position`, in a new buffer (so that views of any element size are aligned).
 * Throws `InputError` if the file ends too early or there is not enough memory.
 */
export function readAt(file: OpenFile, position: number, length: number): Uint8Array {
  const bytes = allocate(length, file.path);
  let done = 0;
  while (done < length) {
    const wanted = Math.min(CHUNK_BYTES, length - done);
    const got = readSync(file.descriptor, bytes, done, wanted, position + done);
    if (got === 0) throw truncated(file, position + done);
    done += got;
  }
  return bytes;
}

/**
 * Fills `target` from `position`, on another thread. Passes every chunk to `seen` once it is read, while reads into
 * other targets continue. Throws `InputError` if the file ends too early.
 */
export async function readInto(
  file: OpenFile,
  position: number,
  target: Uint8Array,
  seen?: (chunk: Uint8Array) => void,
): Promise<void> {
  let done = 0;
  while (done < target.length) {
    const wanted = Math.min(SEEN_CHUNK_BYTES, target.length - done);
    const { bytesRead } = await readBytes(file.descriptor, target, done, wanted, position + done);
    if (bytesRead === 0) throw truncated(file, position + done);
    seen?.(target.subarray(done, done + bytesRead));
    done += bytesRead;
  }
}

/** `length` zero bytes. Throws `InputError` naming `path` if they do not fit into memory. */
export function allocate(length: number, path: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (error) {
    throw new InputError(`${path}: ${length} bytes is more than this machine's memory or Node allows`, {
      cause: error,
      hint: 'Node 22 and later support tensors of more than 4 GiB.',
    });
  }
}

/** Writes all of `bytes` at `position`, default the descriptor's current position. Passes every chunk to `seen`. */
export function writeAll(
  descriptor: number,
  bytes: Uint8Array,
  position?: number,
  seen?: (chunk: Uint8Array) => void,
): void {
  const most = seen === undefined ? CHUNK_BYTES : SEEN_CHUNK_BYTES;
  let done = 0;
  while (done < bytes.length) {
    const wanted = Math.min(most, bytes.length - done);
    const put = writeSync(descriptor, bytes, done, wanted, position === undefined ? null : position + done);
    seen?.(bytes.subarray(done, done + put));
    done += put;
  }
}

/**
 * Creates a file directly under its final name, fills it with `write`, and waits until it is on the disk.
 * Throws `InputError` if the path is not writable, `RunError` if the disk is full or fails.
 */
export function writeFile(path: string, write: (descriptor: number) => void): void {
  withFileErrors(path, () => writeOpened(path, write));
}

/**
 * `writeFile`, but atomic: written under a temporary name first, then renamed. Creates the folder if it is
 * missing.
 */
export function replaceFile(path: string, write: (descriptor: number) => void): void {
  const folder = dirname(path);
  const temporary = temporaryPath(folder, basename(path));
  withFileErrors(path, () => {
    makeFolders(folder);
    try {
      writeOpened(temporary, write);
      renameSync(temporary, path);
    } catch (error) {
      rmSync(temporary, { force: true });
      throw error;
    }
    syncFolder(folder);
  });
}

function writeOpened(path: string, write: (descriptor: number) => void): void {
  const descriptor = openSync(path, 'w');
  try {
    write(descriptor);
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function truncated({ path }: OpenFile, end: number): InputError {
  return new InputError(`${path}: ends at byte ${end}, inside its data`, {
    hint: 'The file is truncated; download or write it again.',
  });
}

function openFile(path: string): OpenFile {
  try {
    return { path, ...openRegular(path) };
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw new InputError(`${path}: cannot be opened (${errorText(error)})`, { cause: error });
  }
}
