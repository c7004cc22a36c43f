import { InputError } from '../base/errors.js';

/** The 512-byte header before each file in a tar archive. */
export interface TarHeader {
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
export function headerOf(block: Buffer, place: string): TarHeader | undefined {
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
