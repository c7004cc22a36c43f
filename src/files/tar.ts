import { readSync } from 'node:fs';
import { InputError } from '../base/errors.js';
import { type OpenFile, writeAll } from './file-bytes.js';

/** A file within a tar archive: `size` bytes from `start`. */
export interface TarEntry {
  readonly name: string;
  readonly start: number;
  readonly size: number;
}

/** Reads bytes of an open file. The next call may overwrite the result. Throws `InputError` beyond the end. */
export type ReadAt = (start: number, length: number) => Buffer;

const BLOCK = 512;
/** Longer names and attributes mean an attack or a damaged file. */
const MOST_META_BYTES = 2 ** 20;

/**
 * The regular files of a tar archive (ustar, GNU and pax, with long names and sizes), in archive order. Only headers
 * are read, so a shard of gigabytes takes one small read per file. A leading `./` is removed from names.
 *
 * @throws InputError (during iteration) if the archive is truncated or damaged, a name points outside the archive, or
 *   a file's bytes are not stored in it (links, sparse files).
 */
export function* tarEntries(file: OpenFile, read: ReadAt): Generator<TarEntry> {
  let extended: ExtendedHeader = {};
  for (let at = 0; ; ) {
    if (at + BLOCK > file.size) throw truncated(file.path, 'the end marker is missing');
    const header = headerOf(read(at, BLOCK), `${file.path}, byte ${at}`);
    if (header === undefined) return;

    const start = at + BLOCK;
    const { kind } = header;
    const isMeta = kind === 'pax' || kind === 'long-name';
    const size = kind === 'other' ? 0 : isMeta ? header.size : (extended.size ?? header.size);
    if (start + size > file.size) {
      throw truncated(file.path, `the file of byte ${at} should have ${size} bytes`);
    }
    at = start + BLOCK * Math.ceil(size / BLOCK);
    if (isMeta) {
      extended = {
        ...extended,
        ...parseExtendedHeader(kind, metaBytes(file, read, start, size), `${file.path}, byte ${start}`),
      };
      continue;
    }
    const name = extended.name ?? header.name;
    extended = {};
    if (kind === 'link' || kind === 'sparse') throw notHere(file.path, kind, name);
    if (kind === 'file' && !name.endsWith('/')) {
      yield { name: nameInside(name, file.path), start, size };
    }
  }
}

/** Reads through a 4 KiB window, so that one system call serves small neighbouring files and headers. */
export function windowReader({ descriptor, path, size }: OpenFile): ReadAt {
  const window = Buffer.alloc(4096);
  let from = 0;
  let length = 0;
  return (start, wanted) => {
    if (start + wanted > size) throw truncated(path, `byte ${start + wanted} is missing`);
    if (start >= from && start + wanted <= from + length) {
      return window.subarray(start - from, start - from + wanted);
    }
    const target = wanted <= window.length ? window : Buffer.alloc(wanted);
    const got = filled(descriptor, target, start);
    if (got < wanted) throw truncated(path, `byte ${start + got} is missing`);
    if (target === window) [from, length] = [start, got];
    return target.subarray(0, wanted);
  };
}

/** @returns the number of bytes read: fewer than the target has if the file ends */
function filled(descriptor: number, target: Buffer, start: number): number {
  let done = 0;
  while (done < target.length) {
    const got = readSync(descriptor, target, done, target.length - done, start + done);
    if (got === 0) break;
    done += got;
  }
  return done;
}

/** Properties of a file from the metadata headers before it. */
interface ExtendedHeader {
  readonly name?: string;
  readonly size?: number;
}

function metaBytes(file: OpenFile, read: ReadAt, start: number, size: number): Buffer {
  if (size > MOST_META_BYTES) throw damaged(`${file.path}, byte ${start}`, `has a name of ${size} bytes`);
  return read(start, size);
}

function parseExtendedHeader(kind: 'pax' | 'long-name', bytes: Buffer, place: string): ExtendedHeader {
  if (kind === 'long-name') return { name: untilZero(bytes) };
  const records = paxRecords(bytes, place);
  if ([...records.keys()].some((key) => key.startsWith('GNU.sparse.'))) {
    throw notHere(place, 'sparse', records.get('GNU.sparse.name') ?? records.get('path') ?? '');
  }
  const [name, size] = [records.get('path'), records.get('size')];
  if (size !== undefined && !(/^\d+$/.test(size) && Number.isSafeInteger(Number(size)))) {
    throw damaged(place, `has a size of ${JSON.stringify(size)}`);
  }
  return { ...(name !== undefined && { name }), ...(size !== undefined && { size: Number(size) }) };
}

/** Records of the form `<length> <key>=<value>\n`; the length is that of the whole record, in bytes (POSIX.1-2001, pax). */
function paxRecords(bytes: Buffer, place: string): Map<string, string> {
  const records = new Map<string, string>();
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const digits = space < 0 ? '' : bytes.toString('latin1', at, Math.min(space, at + 8));
    const end = at + Number(digits);
    const equals = bytes.indexOf(0x3d, space);
    const isWhole =
      /^\d{1,7}$/.test(digits) && equals > space && equals < end && bytes[end - 1] === 0x0a && end > at;
    if (!isWhole) throw damaged(place, 'has a damaged pax header');
    records.set(bytes.toString('utf8', space + 1, equals), bytes.toString('utf8', equals + 1, end - 1));
    at = end;
  }
  return records;
}

function untilZero(bytes: Buffer): string {
  const zero = bytes.indexOf(0);
  return bytes.toString('utf8', 0, zero < 0 ? bytes.length : zero);
}

function nameInside(name: string, path: string): string {
  const inside = name.replace(/^(\.\/+)+/, '');
  const parts = inside.split('/');
  if (inside === '' || inside.startsWith('/') || inside.includes('\0') || parts.includes('..')) {
    throw damaged(path, `holds a file named ${JSON.stringify(name.slice(0, 100))}`);
  }
  return inside;
}

function notHere(path: string, kind: Extract<TarHeader['kind'], 'link' | 'sparse'>, name: string) {
  const what = kind === 'link' ? 'a link' : 'a sparse file';
  return new InputError(
    `${path}: ${JSON.stringify(name.slice(0, 100))} is ${what}, which has no content in the archive`,
    {
      hint: 'Write the archive again with `tar --dereference --hard-dereference`, without --sparse.',
    },
  );
}

function truncated(path: string, why: string): InputError {
  return new InputError(`${path} is truncated: ${why}`, { hint: FETCH });
}

function damaged(path: string, what: string): InputError {
  return new InputError(`${path} ${what}`, { hint: FETCH });
}

const FETCH = 'Download or write the tar file again.';

/** The 512-byte header before each file in a tar archive. */
interface TarHeader {
  /**
   * `pax`, `long-name`: metadata of the file that follows. `link`, `sparse`: files whose bytes are not stored here
   * as they are. `skipped`: not a regular file, but with content. `other`: without content (folders, devices).
   */
  readonly kind: 'file' | 'pax' | 'long-name' | 'link' | 'sparse' | 'skipped' | 'other';
  readonly name: string;
  /** Bytes of content. */
  readonly size: number;
}

/** Keyed by the header's type flag. Flags that are not listed count as `skipped`. */
const KINDS: Readonly<Record<string, TarHeader['kind']>> = {
  '\0': 'file',
  '0': 'file',
  '7': 'file',
  '1': 'link',
  '2': 'link',
  '3': 'other',
  '4': 'other',
  '5': 'other',
  '6': 'other',
  L: 'long-name',
  S: 'sparse',
  x: 'pax',
};

/**
 * Parses a header; undefined for the block of zeros that ends an archive.
 *
 * @param place names the header in error messages
 * @throws InputError if the checksum is wrong, or a number is invalid
 */
function headerOf(block: Buffer, place: string): TarHeader | undefined {
  const stored = octal(block, 148, 8);
  if (stored === undefined || !hasSum(block, stored)) {
    if (block.every((byte) => byte === 0)) return undefined;
    throw new InputError(`${place}: invalid tar header`, { hint: hintFor(block, place) });
  }
  const size = (block[124] & 0x80) === 0 ? octal(block, 124, 12) : base256(block, 124, 12);
  if (size === undefined) {
    throw new InputError(`${place}: tar header without a size`, {
      hint: 'Download or write the file again.',
    });
  }
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = isPosix ? text(block, 345, 155) : '';
  const name = text(block, 0, 100);
  return {
    kind: KINDS[String.fromCharCode(block[156])] ?? 'skipped',
    name: prefix === '' ? name : `${prefix}/${name}`,
    size,
  };
}

/** Checks the sum of all bytes, with the checksum field as spaces; some old programs summed signed bytes. */
function hasSum(block: Buffer, stored: number): boolean {
  let unsigned = 8 * 0x20;
  let signed = unsigned;
  for (let i = 0; i < block.length; i++) {
    if (i >= 148 && i < 156) continue;
    unsigned += block[i];
    signed += (block[i] << 24) >> 24;
  }
  return stored === unsigned || stored === signed;
}

/** Octal digits padded with spaces and NULs; undefined for anything else. */
function octal(block: Buffer, start: number, length: number): number | undefined {
  const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(block.toString('latin1', start, start + length))?.[1];
  return digits === undefined ? undefined : Number.parseInt(digits || '0', 8);
}

/** GNU's binary numbers, for sizes of 8 GiB and more; undefined if negative or beyond the safe integers. */
function base256(block: Buffer, start: number, length: number): number | undefined {
  let value = block[start] & 0x7f;
  for (let i = start + 1; i < start + length && Number.isSafeInteger(value); i++)
    value = value * 256 + block[i];
  return Number.isSafeInteger(value) ? value : undefined;
}

function text(block: Buffer, start: number, length: number): string {
  const zero = block.indexOf(0, start);
  return block.toString('utf8', start, zero < 0 ? start + length : Math.min(zero, start + length));
}

function hintFor(block: Buffer, place: string): string {
  const isFirst = place.endsWith('byte 0');
  return isFirst && block[0] === 0x1f && block[1] === 0x8b
    ? 'It is compressed: decompress it with gunzip; images are read directly from uncompressed tar files.'
    : 'Download or write the tar file again.';
}

/** A file to add to a tar archive: `write` writes its `size` bytes at the descriptor's current position. */
export interface TarFile {
  readonly name: string;
  readonly size: number;
  write(descriptor: number): void;
}

/**
 * Writes a tar archive (POSIX.1-1988 ustar) of regular files. The same files give the same bytes. Names are ASCII of at
 * most 100 characters.
 */
export function writeTar(descriptor: number, files: readonly TarFile[]): void {
  for (const file of files) {
    writeAll(descriptor, header(file));
    file.write(descriptor);
    writeAll(descriptor, Buffer.alloc((BLOCK - (file.size % BLOCK)) % BLOCK));
  }
  writeAll(descriptor, Buffer.alloc(2 * BLOCK));
}

function header({ name, size }: TarFile): Buffer {
  if (!/^[\x20-\x7e]{1,100}$/.test(name))
    throw new RangeError(`${name} is not a valid name in a tar archive`);
  const block = Buffer.alloc(BLOCK);
  block.write(name, 0);
  block.write('0000644\0' + '0000000\0' + '0000000\0', 100, 'latin1');
  if (size < 8 ** 11) block.write(`${size.toString(8).padStart(11, '0')}\0`, 124, 'latin1');
  else {
    // GNU's binary format for sizes of 8 GiB and more.
    block.writeBigUInt64BE(BigInt(size), 128);
    block[124] = 0x80;
  }
  block.write('00000000000\0', 136, 'latin1');
  block.write('0', 156);
  block.write('ustar\x0000', 257, 'latin1');
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}
