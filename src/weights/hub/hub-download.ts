import { createHash, type Hash } from 'node:crypto';
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { DeepIncubationError, errorText, InputError, RunError } from '../../base/errors.js';
import { makeFolders, syncFolder, temporaryPath } from '../../files/atomic.js';
import { writeAll } from '../../files/file-bytes.js';
import { withFileErrors } from '../../files/file-errors.js';

/** A file's properties as stated by the hub. */
export interface RemoteFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** `sha256` for a file in large-file storage; otherwise `git`, Git's SHA-1 of the file. */
  readonly digest: { readonly kind: 'sha256' | 'git'; readonly hex: string };
}

/** Called during a download; `bytes` is the number of bytes received so far. */
export type HubProgress = (progress: {
  readonly path: string;
  readonly bytes: number;
  readonly size: number;
}) => void;

interface Source {
  /** For messages. */
  readonly name: string;
  /** The bytes from an offset to the end. */
  open(from: number): AsyncIterable<Uint8Array>;
}

/**
 * Downloads from `source` to `place`. The file appears there only if it is complete and has the stated digest. A broken
 * connection is reopened at the same offset, as long as each connection delivers some bytes.
 *
 * @throws InputError if `place` is not writable
 * @throws RunError if bytes are missing or differ from the stated ones, or the disk is full
 */
export async function saveDownload(
  file: RemoteFile,
  source: Source,
  place: string,
  onProgress?: HubProgress,
): Promise<void> {
  const temporary = temporaryPath(dirname(place), basename(place));
  const descriptor = create(temporary);
  try {
    try {
      await receive(
        file,
        source,
        (bytes) => withFileErrors(place, () => writeAll(descriptor, bytes)),
        onProgress,
      );
      withFileErrors(place, () => fsyncSync(descriptor));
    } finally {
      closeSync(descriptor);
    }
    withFileErrors(place, () => renameSync(temporary, place));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  withFileErrors(place, () => syncFolder(dirname(place)));
}

async function receive(
  { path, size, digest }: RemoteFile,
  source: Source,
  write: (bytes: Uint8Array) => void,
  onProgress: HubProgress | undefined,
): Promise<void> {
  const hash = startHash(digest.kind, size);
  let bytes = 0;
  onProgress?.({ path, bytes, size });
  while (bytes < size) {
    const before = bytes;
    let failure: unknown;
    try {
      for await (const chunk of source.open(bytes)) {
        if (bytes + chunk.length > size) throw wrongBytes(source.name, `received more than ${size} bytes`);
        write(chunk);
        hash.update(chunk);
        bytes += chunk.length;
        onProgress?.({ path, bytes, size });
      }
    } catch (error) {
      if (error instanceof DeepIncubationError) throw error;
      failure = error;
    }
    if (bytes === before) {
      throw new RunError(
        `${source.name}: the download stopped at byte ${bytes} of ${size}${because(failure)}`,
        {
          hint: 'no partial file was kept: try again, or download the file another way and use its path',
          cause: failure,
        },
      );
    }
  }
  const hex = hash.digest('hex');
  if (hex !== digest.hex) {
    throw wrongBytes(
      source.name,
      `${path} has the ${digest.kind} digest ${hex}, but the hub states ${digest.hex}`,
    );
  }
}

function startHash(kind: RemoteFile['digest']['kind'], size: number): Hash {
  return kind === 'sha256' ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

/** Error for received bytes that do not match the size or digest stated by the hub. */
export function wrongBytes(name: string, what: string): RunError {
  return new RunError(`${name}: the downloaded file differs from the hub's: ${what}`, {
    hint: 'the file was not kept: try again; if the error persists, a mirror or proxy changes files',
  });
}

function because(failure: unknown): string {
  if (failure === undefined) return '';
  const cause =
    failure instanceof Error && failure.cause instanceof Error ? `: ${failure.cause.message}` : '';
  return ` (${errorText(failure)}${cause})`;
}

function create(path: string): number {
  try {
    makeFolders(dirname(path));
    return openSync(path, 'wx');
  } catch (error) {
    throw new InputError(`the cache ${dirname(path)} cannot be written: ${errorText(error)}`, {
      hint: 'make it writable, or set DEEP_INCUBATION_CACHE to another folder',
      cause: error,
    });
  }
}
