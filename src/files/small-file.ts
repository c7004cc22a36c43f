import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from 'node:fs';
import { InputError } from '../base/errors.js';

/** Limit, in bytes, for text files such as lists and records: far more than any real one has. */
export const MOST_TEXT = 2 ** 24;

/**
 * Opens a regular file for reading. Opening a pipe would block, and a device has no end.
 * @throws InputError saying what it is instead; the system's error if it cannot be opened
 */
export function openRegular(path: string): { readonly descriptor: number; readonly size: number } {
  // Checked before opening, because opening has side effects on some devices.
  requireRegular(path, statSync(path));
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(descriptor);
    requireRegular(path, stat);
    return { descriptor, size: stat.size };
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

/**
 * Reads a regular file of at most `most` bytes.
 * @throws InputError if it is not a regular file, or longer; the system's error if it cannot be read
 */
export function readSmall(path: string, most = MOST_TEXT): Buffer {
  const { descriptor, size } = openRegular(path);
  try {
    if (size > most) {
      throw new InputError(`${path} has ${size} bytes, more than the limit of ${most} for such a file`, {
        hint: 'check that it is the right file',
      });
    }
    const bytes = Buffer.allocUnsafe(size);
    let done = 0;
    while (done < size) {
      const got = readSync(descriptor, bytes, done, size - done, done);
      if (got === 0) break;
      done += got;
    }
    return bytes.subarray(0, done);
  } finally {
    closeSync(descriptor);
  }
}

/** `readSmall`, decoded as UTF-8. */
export function readSmallText(path: string, most?: number): string {
  return readSmall(path, most).toString('utf8');
}

function requireRegular(path: string, stat: Stats): void {
  if (stat.isFile()) return;
  throw new InputError(`${path}: not a regular file but ${kindOf(stat)}`, {
    hint: 'use a regular file; write the output of a pipe to a file first',
  });
}

function kindOf(stat: Stats): string {
  if (stat.isDirectory()) return 'a folder';
  if (stat.isFIFO()) return 'a pipe';
  return stat.isSocket() ? 'a socket' : 'a device';
}
