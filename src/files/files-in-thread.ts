import { startThread } from '../base/thread.js';

/** A file to write: the parts, one after another. */
interface FileParts {
  readonly path: string;
  readonly parts: readonly Uint8Array[];
}

/** Size and hash of a written file. */
interface WrittenFile {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Writes and hashes files, each in its own thread, and waits until they are on the disk, without blocking this thread. A part
 * that fills its whole buffer is transferred, not copied: the caller can no longer use it, and no two files may share it.
 * Rejects once all threads have ended, with the system's error and its `code`.
 */
export async function writeFilesInThread(files: readonly FileParts[]): Promise<WrittenFile[]> {
  const ended = await Promise.allSettled(files.map(writeInThread));
  return ended.map((end) => {
    if (end.status === 'rejected') throw end.reason;
    return end.value;
  });
}

function writeInThread(file: FileParts): Promise<WrittenFile> {
  const own = file.parts.filter(({ buffer, length }) => buffer.byteLength === length);
  const buffers = [...new Set(own.map(({ buffer }) => buffer as ArrayBuffer))];
  return new Promise((resolve, reject) => {
    const thread = startThread(write);
    thread.on('message', ({ written, error }: Message) => {
      if (written !== undefined) resolve(written);
      else reject(Object.assign(new Error(error?.message), { code: error?.code }));
    });
    thread.on('error', reject);
    // Has no effect after a message.
    thread.on('exit', (code) => reject(new Error(`the writing thread ended with code ${code}`)));
    thread.postMessage(file, buffers);
  });
}

interface Message {
  readonly written?: WrittenFile;
  readonly error?: { readonly message: string; readonly code?: string };
}

/** Runs in the thread. */
function write(): void {
  const { closeSync, constants, fsyncSync, ftruncateSync, openSync, writeSync } =
    process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { getPriority, setPriority } = process.getBuiltinModule('node:os');
  const { parentPort } = process.getBuiltinModule('node:worker_threads');
  // On Linux, 0 means this thread. If cores are scarce, it gets a tenth of one, and training gets the rest.
  setPriority(0, Math.max(getPriority(0), 10));
  const chunkBytes = 2 ** 22;
  const blockBytes = 2 ** 12;
  // A resizable buffer is page-aligned, as O_DIRECT requires.
  const chunk = new Uint8Array(new ArrayBuffer(chunkBytes, { maxByteLength: chunkBytes }));

  const writeFile = ({ path, parts }: FileParts, flags: number): WrittenFile => {
    const hash = createHash('sha256');
    const descriptor = openSync(path, flags);
    let bytes = 0;
    let used = 0;
    const empty = () => {
      // Whole blocks; the excess at the end is truncated afterwards.
      const end = Math.ceil(used / blockBytes) * blockBytes;
      for (let done = 0; done < end; ) done += writeSync(descriptor, chunk, done, end - done);
      hash.update(chunk.subarray(0, used));
      bytes += used;
      used = 0;
    };
    try {
      for (const part of parts) {
        for (let done = 0; done < part.length; ) {
          const piece = part.subarray(done, done + chunkBytes - used);
          chunk.set(piece, used);
          done += piece.length;
          used += piece.length;
          if (used === chunkBytes) empty();
        }
      }
      empty();
      ftruncateSync(descriptor, bytes);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    return { bytes, sha256: hash.digest('hex') };
  };

  const writeFileDirect = (file: FileParts): WrittenFile => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC;
    try {
      // Bypass the page cache, which takes more time than the disk.
      return writeFile(file, flags | (constants.O_DIRECT ?? 0));
    } catch (error) {
      // Not every file system supports O_DIRECT.
      if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
      return writeFile(file, flags);
    }
  };

  parentPort?.once('message', (file: FileParts) => {
    try {
      parentPort.postMessage({ written: writeFileDirect(file) });
    } catch (error) {
      const { message, code } = error as NodeJS.ErrnoException;
      parentPort.postMessage({ error: { message, code } });
    }
  });
}
