import { InputError } from '../../base/errors.js';
import type { Image } from '../dataset.js';

/** Fields of the headers of a BMP. */
interface Header {
  readonly width: number;
  readonly height: number;
  readonly isTopDown: boolean;
  readonly bits: number;
  readonly compression: number;
  /** Offset of the pixels. */
  readonly start: number;
  /** Red, green and blue: three bytes per entry. */
  readonly palette: Uint8Array;
  /** Bit masks of red, green and blue in a pixel of 16, 24 or 32 bits. */
  readonly masks: readonly [number, number, number];
}

const NONE = 0;
const RLE8 = 1;
const RLE4 = 2;
const BIT_FIELDS = 3;
const ALPHA_BIT_FIELDS = 6;

const MOST_PIXELS = 2 ** 28;

/**
 * Decodes a Windows or OS/2 BMP (1, 4, 8, 16, 24 or 32 bits, run-length encoded or not) to RGB, as Pillow's
 * `Image.open(file).convert('RGB')` does: alpha is dropped.
 *
 * @throws InputError if it is truncated or not supported.
 */
export function decodeBmp(bytes: Uint8Array): Image {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const header = headerOf(file);
  const { compression } = header;
  const pixels = file.subarray(header.start);
  const data =
    compression === RLE8 || compression === RLE4
      ? ofPalette(runLengths(pixels, header), header)
      : header.bits <= 8
        ? ofPalette(packed(pixels, header), header)
        : direct(pixels, header);
  const { width, height, isTopDown } = header;
  return { width, height, channels: 3, data: isTopDown ? data : upsideDown(data, width, height) };
}

function headerOf(file: Buffer): Header {
  requireBytes(file, 26);
  const headerSize = file.readUInt32LE(14);
  const isOld = headerSize === 12;
  if (!isOld && headerSize < 40) throw new InputError(`a BMP with a header of ${headerSize} bytes`);
  requireBytes(file, 14 + headerSize);
  const size = isOld
    ? { width: file.readUInt16LE(18), height: file.readUInt16LE(20), bits: file.readUInt16LE(24) }
    : { width: file.readInt32LE(18), height: file.readInt32LE(22), bits: file.readUInt16LE(28) };
  const { width, bits } = size;
  const height = Math.abs(size.height);
  const compression = isOld ? NONE : file.readUInt32LE(30);
  if (width < 1 || height < 1 || width * height > MOST_PIXELS) {
    throw new InputError(`a BMP of ${width} x ${height} pixels`);
  }
  requireKind(bits, compression);
  const hasFields = compression === BIT_FIELDS || compression === ALPHA_BIT_FIELDS;
  const fields = 54;
  if (hasFields) requireBytes(file, fields + 12);
  const masks: Header['masks'] = hasFields
    ? [file.readUInt32LE(fields), file.readUInt32LE(fields + 4), file.readUInt32LE(fields + 8)]
    : bits === 16
      ? [0x7c00, 0x3e0, 0x1f]
      : [0xff0000, 0xff00, 0xff];
  return {
    width,
    height,
    isTopDown: size.height < 0,
    bits,
    compression,
    start: file.readUInt32LE(10),
    palette: bits <= 8 ? paletteOf(file, { headerSize, bits, isOld }) : new Uint8Array(0),
    masks,
  };
}

function requireKind(bits: number, compression: number): void {
  const isRead =
    (compression === NONE && [1, 4, 8, 16, 24, 32].includes(bits)) ||
    (compression === RLE8 && bits === 8) ||
    (compression === RLE4 && bits === 4) ||
    ((compression === BIT_FIELDS || compression === ALPHA_BIT_FIELDS) && (bits === 16 || bits === 32));
  if (!isRead) throw new InputError(`a BMP of ${bits} bits and compression ${compression}`);
}

/** Entries are blue, green, red and, except in OS/2, one more byte. */
function paletteOf(
  file: Buffer,
  { headerSize, bits, isOld }: { headerSize: number; bits: number; isOld: boolean },
): Uint8Array {
  const stated = isOld ? 0 : file.readUInt32LE(46);
  const count = stated > 0 && stated <= 1 << bits ? stated : 1 << bits;
  const entry = isOld ? 3 : 4;
  const start = 14 + headerSize;
  requireBytes(file, start + count * entry);
  const palette = new Uint8Array(3 << bits);
  for (let i = 0; i < count; i++) {
    for (let c = 0; c < 3; c++) palette[3 * i + c] = file[start + entry * i + 2 - c];
  }
  return palette;
}

function rowBytes({ width, bits }: Header): number {
  return 4 * Math.ceil((width * bits) / 32);
}

function packed(pixels: Buffer, header: Header): Uint8Array {
  const { width, height, bits } = header;
  const row = rowBytes(header);
  requireBytes(pixels, row * (height - 1) + Math.ceil((width * bits) / 8));
  const indices = new Uint8Array(width * height);
  const mask = (1 << bits) - 1;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = x * bits;
      indices[y * width + x] = (pixels[y * row + (at >> 3)] >> (8 - bits - (at & 7))) & mask;
    }
  }
  return indices;
}

/** Pairs of count and value. Count 0 is an escape: value 0 ends a row, 1 the image, 2 moves on, more starts literals. */
function runLengths(pixels: Buffer, { width, height, compression }: Header): Uint8Array {
  const indices = new Uint8Array(width * height);
  const isNibbles = compression === RLE4;
  const valueAt = (byte: number, i: number) => (isNibbles ? (i % 2 === 0 ? byte >> 4 : byte & 15) : byte);
  let x = 0;
  let y = 0;
  const put = (value: number) => {
    if (x < width && y < height) indices[y * width + x] = value;
    x++;
  };
  for (let at = 0; y < height; ) {
    requireBytes(pixels, at + 2);
    const [count, value] = [pixels[at], pixels[at + 1]];
    at += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) put(valueAt(value, i));
    } else if (value === 0) {
      x = 0;
      y++;
    } else if (value === 1) {
      break;
    } else if (value === 2) {
      requireBytes(pixels, at + 2);
      x += pixels[at];
      y += pixels[at + 1];
      at += 2;
    } else {
      const length = isNibbles ? Math.ceil(value / 2) : value;
      requireBytes(pixels, at + length);
      for (let i = 0; i < value; i++) put(valueAt(pixels[at + (isNibbles ? i >> 1 : i)], i));
      at += length + (length % 2);
    }
  }
  return indices;
}

function ofPalette(indices: Uint8Array, { palette }: Header): Uint8Array {
  const data = new Uint8Array(3 * indices.length);
  for (let i = 0; i < indices.length; i++) {
    for (let c = 0; c < 3; c++) data[3 * i + c] = palette[3 * indices[i] + c];
  }
  return data;
}

function direct(pixels: Buffer, header: Header): Uint8Array {
  const { width, height, bits, masks } = header;
  const row = rowBytes(header);
  const each = bits / 8;
  requireBytes(pixels, row * (height - 1) + width * each);
  const parts = masks.map((mask) => {
    const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
    return { shift, most: mask >>> shift };
  });
  const data = new Uint8Array(3 * width * height);
  for (let y = 0, to = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const pixel = pixels.readUIntLE(y * row + x * each, each);
      for (const { shift, most } of parts) {
        data[to++] = most === 255 ? (pixel >>> shift) & 255 : scaled((pixel >>> shift) & most, most);
      }
    }
  }
  return data;
}

/** Scales to 0 ... 255, rounded down as in Pillow. */
function scaled(value: number, most: number): number {
  return most === 0 ? 0 : Math.floor((value * 255) / most);
}

function upsideDown(data: Uint8Array, width: number, height: number): Uint8Array {
  const turned = new Uint8Array(data.length);
  const row = 3 * width;
  for (let y = 0; y < height; y++) {
    turned.set(data.subarray(y * row, (y + 1) * row), (height - 1 - y) * row);
  }
  return turned;
}

function requireBytes(bytes: Uint8Array, count: number): void {
  if (bytes.length < count) throw new InputError('truncated');
}
