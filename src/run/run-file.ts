import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Opens a regular file of a run folder for reading. Links, pipes, folders, and files in a linked folder are rejected: a run
 * from another person must not make this machine's other files readable, and must not block the server.
 * @param path absolute, with the run folder's own links resolved
 * @returns the result of `read`, or undefined if there is no such file or reading fails
 */
export function withRunFile<T>(path: string, read: (handle: number, stat: Stats) => T): T | undefined {
  let handle: number;
  try {
    if (realpathSync(dirname(path)) !== dirname(path)) return undefined;
    handle = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  try {
    const stat = fstatSync(handle);
    return stat.isFile() ? read(handle, stat) : undefined;
  } catch {
    return undefined;
  } finally {
    closeSync(handle);
  }
}

/** Size limit for JSON files, in bytes: a recipe or a plan has a few thousand. */
const MOST_JSON = 8 << 20;

/** Reads a JSON object from a run folder; undefined if the file is missing or invalid. */
export function readRunJson(path: string): Record<string, unknown> | undefined {
  return withRunFile(path, (handle, { size }) => {
    if (size > MOST_JSON) return undefined;
    const value: unknown = JSON.parse(readBytes(handle, 0, size).toString('utf8'));
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
  });
}

/** The complete lines in the last `most` bytes of a text file, and the file's size. */
export function readTail(path: string, most: number): { size: number; lines: string[] } {
  const found = withRunFile(path, (handle, { size }) => {
    const from = Math.max(0, size - most);
    const text = readBytes(handle, from, size).toString('utf8');
    const lines = (from > 0 ? text.slice(text.indexOf('\n') + 1) : text).split('\n');
    if (lines.at(-1) === '') lines.pop();
    return { size, lines };
  });
  return found ?? { size: 0, lines: [] };
}

export function readBytes(handle: number, from: number, to: number): Buffer {
  const buffer = Buffer.allocUnsafe(Math.max(0, to - from));
  return buffer.subarray(0, readSync(handle, buffer, 0, buffer.length, from));
}

/** Size of a file in bytes; 0 if it is missing. */
export function sizeOf(path: string): number {
  return withRunFile(path, (_, { size }) => size) ?? 0;
}
