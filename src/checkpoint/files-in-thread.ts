import { Worker } from 'node:worker_threads';

/** A file to be, of these bytes one after another. */
export interface FileParts {
  readonly path: string;
  readonly parts: readonly Uint8Array[];
}

/** What became of it. */
export interface WrittenFile {
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Writes files, hashes them and waits until they are on the disk, from a thread of its own: this thread goes on
 * meanwhile. The bytes are taken over, not copied, where they have a buffer to themselves; nobody else may use them then.
 * Rejects with the system's error, its `code` kept.
 */
export function writeFilesInThread(files: readonly FileParts[]): Promise<WrittenFile[]> {
  const own = files.flatMap(({ parts }) =>
    parts.filter(({ buffer, length }) => buffer.byteLength === length),
  );
  const buffers = [...new Set(own.map(({ buffer }) => buffer as ArrayBuffer))];
  return new Promise((resolve, reject) => {
    // From its text: no file's name would do for both the built program and tests, which run from the sources.
    const thread = new Worker(`(${write})()`, { eval: true, workerData: files, transferList: buffers });
    thread.on('message', ({ written, error }: Message) => {
      if (written !== undefined) resolve(written);
      else reject(Object.assign(new Error(error?.message), { code: error?.code }));
    });
    thread.on('error', reject);
    // A no-op after an answer.
    thread.on('exit', (code) => reject(new Error(`the writing thread ended with code ${code}`)));
  });
}

interface Message {
  readonly written?: WrittenFile[];
  readonly error?: { readonly message: string; readonly code?: string };
}

/** Runs in the thread. */
function write(): void {
  const { closeSync, fsyncSync, openSync, writeSync } = process.getBuiltinModule('node:fs');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { getPriority, setPriority } = process.getBuiltinModule('node:os');
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  // 0 is this thread on Linux: where cores are short it takes a tenth of one, and the training the rest.
  setPriority(0, Math.max(getPriority(0), 10));
  const chunkBytes = 2 ** 22;
  const writeOne = ({ path, parts }: FileParts): WrittenFile => {
    const hash = createHash('sha256');
    const descriptor = openSync(path, 'w');
    let bytes = 0;
    try {
      for (const part of parts) {
        for (let done = 0; done < part.length; ) {
          const chunk = part.subarray(done, done + chunkBytes);
          const put = writeSync(descriptor, chunk);
          hash.update(chunk.subarray(0, put));
          done += put;
        }
        bytes += part.length;
      }
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    return { bytes, sha256: hash.digest('hex') };
  };
  try {
    parentPort?.postMessage({ written: (workerData as FileParts[]).map(writeOne) });
  } catch (error) {
    const { message, code } = error as NodeJS.ErrnoException;
    parentPort?.postMessage({ error: { message, code } });
  }
}
