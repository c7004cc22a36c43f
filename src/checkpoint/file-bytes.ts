import { closeSync, fstatSync, openSync, readSync, writeSync } from 'node:fs';
import { errorText, InputError } from '../base/errors.js';

/** Below Linux's and Node's limit of 2^31 - 1 bytes a call. */
const CHUNK_BYTES = 2 ** 30;

export interface OpenFile {
  readonly path: string;
  readonly descriptor: number;
  /** Bytes. */
  readonly size: number;
}

/** Opens a regular file, runs `use` on it, and closes it again. Throws `InputError` where it cannot. */
export function withFile<T>(path: string, use: (file: OpenFile) => T): T {
  const file = openFile(path);
  try {
    return use(file);
  } finally {
    closeSync(file.descriptor);
  }
}

/** `withFile` for work that takes its time. */
export async function withFileAsync<T>(path: string, use: (file: OpenFile) => Promise<T>): Promise<T> {
  const file = openFile(path);
  try {
    return await use(file);
  } finally {
    closeSync(file.descriptor);
  }
}

/**
 * Exactly `length` bytes from `position`, in an allocation of their own (so that views of any
 * element size are aligned). Throws `InputError` where the file ends before, or memory does.
 */
export function readAt({ descriptor, path }: OpenFile, position: number, length: number): Uint8Array {
  const bytes = allocate(length, path);
  let done = 0;
  while (done < length) {
    const wanted = Math.min(CHUNK_BYTES, length - done);
    const got = readSync(descriptor, bytes, done, wanted, position + done);
    if (got === 0) {
      throw new InputError(`${path}: ends at byte ${position + done}, inside its data`, {
        hint: 'The file is truncated; fetch or write it again.',
      });
    }
    done += got;
  }
  return bytes;
}

/** Appends all of `bytes` at the descriptor's position. */
export function writeAll(descriptor: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    done += writeSync(descriptor, bytes, done, Math.min(CHUNK_BYTES, bytes.length - done));
  }
}

function openFile(path: string): OpenFile {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(path, 'r');
    const stat = fstatSync(descriptor);
    if (stat.isFile()) return { path, descriptor, size: stat.size };
  } catch (error) {
    throw new InputError(`${path}: cannot be opened (${errorText(error)})`, { cause: error });
  }
  closeSync(descriptor);
  throw new InputError(`${path}: not a file`);
}

function allocate(length: number, path: string): Uint8Array {
  try {
    return new Uint8Array(length);
  } catch (error) {
    throw new InputError(`${path}: ${length} bytes are more than this machine's memory or Node allows`, {
      cause: error,
      hint: 'Node 22 and later take tensors of more than 4 GiB.',
    });
  }
}
