import { crc32 } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { errorText, InputError } from '../../base/errors.js';
import { allocate, type OpenFile, readAt, readInto, withFileAsync } from '../../files/file-bytes.js';

/** An entry of a torch.save archive, which is stored without compression. */
export interface StoredEntry {
  readonly path: string;
  readonly name: string;
  readonly start: number;
  readonly bytes: number;
  /** 0 if torch was configured not to compute it (`torch.serialization.set_crc32_options`). */
  readonly crc32: number;
}

/**
 * Reads the directory of a zip archive without compression, as torch.save writes it, but not the content
 * of its entries. Throws `InputError` for archives that torch.save never writes: with compressed, encrypted
 * or duplicate entries, or with overlapping entries, which together are longer than the file.
 */
export function readZipDirectory(path: string): Promise<ReadonlyMap<string, StoredEntry>> {
  return withFileAsync(path, async (file) => {
    const entries = new Map<string, StoredEntry>();
    let total = 0;
    try {
      const zip = await fromRandomAccessReaderPromise(new BoundedReader(file), file.size, {
        autoClose: false,
      });
      for await (const entry of zip.eachEntry()) {
        if (entries.has(entry.fileName)) throw new Error(`the entry ${entry.fileName} is duplicated`);
        const stored = await locate(zip, entry, path);
        entries.set(stored.name, stored);
        total += stored.bytes;
      }
      if (total > file.size) throw new Error('its entries overlap');
    } catch (error) {
      throw notTorch(path, errorText(error), error);
    }
    return entries;
  });
}

/** Reads the bytes of one entry. Throws `InputError` if they do not match the entry's CRC-32. */
export async function readStored(entry: StoredEntry): Promise<Uint8Array> {
  const bytes = allocate(entry.bytes, entry.path);
  await readStoredInto(entry, bytes);
  return bytes;
}

/** `readStored` into `target`, which has exactly the entry's size. */
export async function readStoredInto(entry: StoredEntry, target: Uint8Array): Promise<void> {
  let sum = 0;
  const check = (chunk: Uint8Array) => {
    sum = crc32(chunk, sum);
  };
  await withFileAsync(entry.path, (file) =>
    readInto(file, entry.start, target, entry.crc32 === 0 ? undefined : check),
  );
  if (entry.crc32 !== 0 && sum !== entry.crc32) {
    throw new InputError(`${entry.path}: the entry ${entry.name} is damaged: its CRC-32 does not match`, {
      hint: 'Download or write the file again.',
    });
  }
}

export function notTorch(path: string, what: string, cause?: unknown): InputError {
  return new InputError(`${path}: truncated or not a torch.save file: ${what}`, {
    cause,
    hint: 'Download the file again, or write it again with torch.save.',
  });
}

async function locate(zip: ZipFile, entry: Entry, path: string): Promise<StoredEntry> {
  if (entry.isEncrypted()) throw new Error(`the entry ${entry.fileName} is encrypted`);
  if (entry.compressionMethod !== 0) throw new Error(`the entry ${entry.fileName} is compressed`);
  const { fileDataStart } = await zip.readLocalFileHeaderPromise(entry, { minimal: true });
  return {
    path,
    name: entry.fileName,
    start: fileDataStart,
    bytes: entry.compressedSize,
    crc32: entry.crc32,
  };
}

/** Used because yauzl's own reader throws outside any promise if a damaged archive points beyond 2^53. */
class BoundedReader extends RandomAccessReader {
  readonly #file: OpenFile;

  constructor(file: OpenFile) {
    super();
    this.#file = file;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    if (!(position >= 0 && position + length <= this.#file.size)) {
      callback(new Error(`it points to byte ${position}, beyond its end`));
      return;
    }
    buffer.set(readAt(this.#file, position, length), offset);
    callback(null, length);
  }
}
