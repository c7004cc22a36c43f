import { crc32 } from 'node:zlib';
import { writeAll } from '../../files/file-bytes.js';

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
