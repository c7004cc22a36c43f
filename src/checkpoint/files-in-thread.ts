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
  const { open } = process.getBuiltinModule('node:fs/promises');
  const { createHash } = process.getBuiltinModule('node:crypto');
  const { parentPort, workerData } = process.getBuiltinModule('node:worker_threads');
  const chunkBytes = 2 ** 22;
  const writeOne = async ({ path, parts }: FileParts): Promise<WrittenFile> => {
    const hash = createHash('sha256');
    const file = await open(path, 'w');
    let bytes = 0;
    try {
      for (const part of parts) {
        for (let done = 0; done < part.length; done += chunkBytes) {
          const chunk = part.subarray(done, done + chunkBytes);
          // The system writes it while it is hashed here.
          const put = file.write(chunk);
          hash.update(chunk);
          const { bytesWritten } = await put;
          if (bytesWritten < chunk.length) await file.writeFile(chunk.subarray(bytesWritten));
        }
        bytes += part.length;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    return { bytes, sha256: hash.digest('hex') };
  };
  const writeAll = async (): Promise<Message> => {
    const written: WrittenFile[] = [];
    for (const file of workerData as FileParts[]) written.push(await writeOne(file));
    return { written };
  };
  writeAll()
    .catch(({ message, code }: NodeJS.ErrnoException): Message => ({ error: { message, code } }))
    .then((message) => parentPort?.postMessage(message));
}
