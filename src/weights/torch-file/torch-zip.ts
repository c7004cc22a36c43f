import { crc32 } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { errorText, InputError } from '../../base/errors.js';
import {
  allocate,
  type OpenFile,
  readAt,
  readInto,
  withFileAsync,
  writeAll,
} from '../../files/file-bytes.js';

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

export interface ZipRecord {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/** torch's alignment of record data, so that it can be mapped into memory. */
const ALIGNMENT = 64;

/** Sizes and offsets from this value on are written as 64 bits in an extra field, with this value as placeholder. */
const LIMIT = 0xffffffff;

/**
 * Writes a zip archive as torch.save does: records without compression, their data at multiples of 64 bytes, and a zip64
 * directory. Writes directly to the descriptor, whose file must be empty, without copying the data.
 */
export function writeZip(descriptor: number, records: Iterable<ZipRecord>): void {
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, bytes } of records) {
    const head = localHeader(name, bytes.length, at);
    let sum = 0;
    writeAll(descriptor, bytes, at + head.length, (chunk) => {
      sum = crc32(chunk, sum);
    });
    head.writeUInt32LE(sum, CRC_AT);
    writeAll(descriptor, head, at);
    directory.push(directoryEntry(name, bytes.length, sum, at));
    at += head.length + bytes.length;
  }
  writeAll(descriptor, directoryOf(directory, at), at);
}

const CRC_AT = 14;

/** The local header of a record, padded so that the data after it is aligned; the CRC-32 is not set yet. */
export function localHeader(name: string, bytes: number, at: number): Buffer {
  const fields = commonFields(name, bytes, 0);
  const large = bytes >= LIMIT ? zip64Field([bytes, bytes]) : Buffer.alloc(0);
  const fixed = 4 + fields.length + Buffer.byteLength(name) + large.length + 4;
  const padding = Buffer.alloc(4 + ((ALIGNMENT - ((at + fixed) % ALIGNMENT)) % ALIGNMENT), 'Z');
  padding.write('FB');
  padding.writeUInt16LE(padding.length - 4, 2);
  fields.writeUInt16LE(large.length + padding.length, fields.length - 2);
  return Buffer.concat([Buffer.from('PK\x03\x04'), fields, Buffer.from(name), large, padding]);
}

/** The directory entry of a record whose local header is at `at`. */
export function directoryEntry(name: string, bytes: number, sum: number, at: number): Buffer {
  const fields = commonFields(name, bytes, sum);
  const large = [...(bytes >= LIMIT ? [bytes, bytes] : []), ...(at >= LIMIT ? [at] : [])];
  const extra = large.length > 0 ? zip64Field(large) : Buffer.alloc(0);
  fields.writeUInt16LE(extra.length, fields.length - 2);
  const place = Buffer.alloc(14);
  place.writeUInt32LE(Math.min(at, LIMIT), 10);
  const start = Buffer.from('PK\x01\x02\x2d\0', 'latin1');
  return Buffer.concat([start, fields, place, Buffer.from(name), extra]);
}

/** The whole directory, to be written at `at`, with the records that locate it from the end of the file. */
export function directoryOf(entries: readonly Buffer[], at: number): Buffer {
  const size = entries.reduce((sum, { length }) => sum + length, 0);
  const end64 = Buffer.alloc(56);
  end64.write('PK\x06\x06', 'latin1');
  end64.writeBigUInt64LE(44n, 4);
  end64.writeUInt16LE(45, 12);
  end64.writeUInt16LE(45, 14);
  for (const [i, value] of [entries.length, entries.length, size, at].entries()) {
    end64.writeBigUInt64LE(BigInt(value), 24 + 8 * i);
  }
  const locator = Buffer.alloc(20);
  locator.write('PK\x06\x07', 'latin1');
  locator.writeBigUInt64LE(BigInt(at + size), 8);
  locator.writeUInt32LE(1, 16);
  const end = Buffer.alloc(22);
  end.write('PK\x05\x06', 'latin1');
  end.writeUInt16LE(Math.min(entries.length, 0xffff), 8);
  end.writeUInt16LE(Math.min(entries.length, 0xffff), 10);
  end.writeUInt32LE(Math.min(size, LIMIT), 12);
  end.writeUInt32LE(Math.min(at, LIMIT), 16);
  return Buffer.concat([...entries, end64, locator, end]);
}

/** The fields common to both headers of a record: from the required version to the length of the extra fields, still 0. */
function commonFields(name: string, bytes: number, sum: number): Buffer {
  const fields = Buffer.alloc(26);
  fields.writeUInt16LE(bytes >= LIMIT ? 45 : 20, 0);
  // Names are UTF-8.
  fields.writeUInt16LE(0x800, 2);
  // 1 January 1980, the earliest date in the format.
  fields.writeUInt16LE(0x21, 8);
  fields.writeUInt32LE(sum, 10);
  fields.writeUInt32LE(Math.min(bytes, LIMIT), 14);
  fields.writeUInt32LE(Math.min(bytes, LIMIT), 18);
  fields.writeUInt16LE(Buffer.byteLength(name), 22);
  return fields;
}

function zip64Field(values: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * values.length);
  field.writeUInt16LE(1);
  field.writeUInt16LE(8 * values.length, 2);
  for (const [i, value] of values.entries()) field.writeBigUInt64LE(BigInt(value), 4 + 8 * i);
  return field;
}
