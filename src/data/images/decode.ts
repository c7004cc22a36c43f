import type { Sharp, SharpOptions } from 'sharp';
import { errorText, InputError } from '../../base/errors.js';
import type { DecodeOptions, Image } from '../dataset.js';
import { decodeBmp } from './bmp.js';
import { type ImageFormat, imageFormatOf, otherContent } from './image-format.js';

/** Tags of a TIFF's first directory (TIFF 6.0). */
interface Tags {
  readonly compression: number;
  readonly photometric: number;
  readonly samples: number;
  readonly bits: number;
}

const TAGS = new Map<number, keyof Tags>([
  [258, 'bits'],
  [259, 'compression'],
  [262, 'photometric'],
  [277, 'samples'],
]);

/** Compressions that are not supported. All others are: none, CCITT, LZW, JPEG, Deflate, PackBits. */
const COMPRESSIONS = new Map([
  [34925, 'LZMA'],
  [50000, 'Zstandard'],
  [50001, 'WebP'],
  [34887, 'LERC'],
  [6, 'old JPEG'],
]);
const JPEG = 7;
const CMYK = 5;
const YCBCR = 6;
const LAB = 8;

/**
 * Whether a TIFF is 16-bit grey.
 *
 * @throws InputError if the TIFF is not supported because its pixels would differ from Pillow's.
 */
function isGrey16Tiff(bytes: Uint8Array): boolean {
  const { compression, photometric, samples, bits } = tagsOf(
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length),
  );
  const name = COMPRESSIONS.get(compression);
  if (name !== undefined) throw notRead(`${name} compression`);
  if (photometric === CMYK) throw notRead('CMYK colours');
  if (photometric === LAB) throw notRead('Lab colours');
  if (photometric === YCBCR && compression !== JPEG) throw notRead('YCbCr colours without JPEG compression');
  return bits === 16 && samples === 1;
}

function notRead(what: string): InputError {
  return new InputError(`a TIFF with ${what}, which is not supported`);
}

function tagsOf(file: Buffer): Tags {
  const isLittle = file[0] === 0x49;
  const number = (at: number, size: number) => {
    if (at + size > file.length) throw new InputError('truncated');
    return isLittle ? file.readUIntLE(at, size) : file.readUIntBE(at, size);
  };
  if (number(2, 2) !== 42) throw notRead('the BigTIFF layout');
  const tags = { compression: 1, photometric: 1, samples: 1, bits: 1 };
  const directory = number(4, 4);
  const count = number(directory, 2);
  for (let i = 0; i < count; i++) {
    const entry = directory + 2 + 12 * i;
    const key = TAGS.get(number(entry, 2));
    if (key === undefined) continue;
    const [type, values] = [number(entry + 2, 2), number(entry + 4, 4)];
    // Reads the first value; if there are several, all are equal. Values of more than four bytes are stored elsewhere.
    const at = type === 3 && values > 2 ? number(entry + 8, 4) : entry + 8;
    tags[key] = type === 4 ? number(at, 4) : number(at, 2);
  }
  return tags;
}

/**
 * Decodes images that the addon does not decode: PNG, WebP, GIF (first frame), BMP, TIFF (first page), and JPEG if the addon
 * was built without libjpeg-turbo. The result is 8-bit RGB, byte for byte the same as from Pillow's
 * `Image.open(file).convert('RGB')`: alpha is dropped without blending, colour profiles are not applied. The only exception is
 * CMYK JPEGs, for which Pillow's formula is less exact than libvips'.
 *
 * - `exif` is `ignore` by default. As in Pillow, only a TIFF's orientation is then applied.
 * - `grey16` is `clip` by default, as in Pillow: in 16-bit grey, all values above 255 are white. With `scale`, 65535 is white.
 *
 * The work is queued to libuv's thread pool before this returns (except for BMP, and for the first call, which loads sharp).
 *
 * @throws InputError if the bytes are truncated, damaged or not an image; the message names the content that was found.
 */
export async function decodeImage(bytes: Uint8Array, options: DecodeOptions = {}): Promise<Image> {
  const format = imageFormatOf(bytes);
  if (format === undefined) throw new InputError(otherContent(bytes));
  if (format === 'BMP') return decodeBmp(bytes);
  open ??= await loadSharp();
  try {
    if (format === 'GIF') return await decodeGif(open, bytes);
    return await decodeStill(open, bytes, format, options);
  } catch (error) {
    if (error instanceof InputError) throw error;
    // Messages of libvips can have several lines.
    throw new InputError(errorText(error).split('\n', 1)[0], { cause: error });
  }
}

/**
 * The EXIF orientation, 1 (upright) to 8, of an image that `decodeImage` decodes.
 *
 * @throws InputError as `decodeImage`.
 */
export async function orientationOf(bytes: Uint8Array): Promise<number> {
  const format = imageFormatOf(bytes);
  if (format === undefined || format === 'BMP' || format === 'GIF') return 1;
  open ??= await loadSharp();
  const { orientation = 1 } = await open(bytes, sharpOptions(format)).metadata();
  return orientation;
}

/** Whether an image is 16-bit grey, so that values above 255 are clipped unless `grey16` is `scale`. */
export function isGrey16(bytes: Uint8Array, format = imageFormatOf(bytes)): boolean {
  if (format === 'TIFF') return isGrey16Tiff(bytes);
  // Bit depth and colour type in the PNG header.
  return format === 'PNG' && bytes[24] === 16 && bytes[25] === 0;
}

type Open = (content: Uint8Array, options: SharpOptions) => Sharp;

/**
 * 'truncated', not a stricter level: real photographs have harmless defects that every reader accepts. TIFF needs 'error',
 * because libtiff reports missing strips as errors, not as truncation.
 */
function sharpOptions(format: ImageFormat): SharpOptions {
  return { failOn: format === 'TIFF' ? 'error' : 'truncated', ignoreIcc: true };
}

async function decodeStill(
  open: Open,
  bytes: Uint8Array,
  format: ImageFormat,
  { exif, grey16 = 'clip' }: DecodeOptions,
): Promise<Image> {
  const is16 = isGrey16(bytes, format);
  const image = open(bytes, sharpOptions(format));
  const upright = exif === 'apply' || format === 'TIFF' ? image.autoOrient() : image;
  if (!is16) return rgb(upright.toColourspace('srgb').removeAlpha());
  const { data, info } = await upright
    .toColourspace('grey16')
    .removeAlpha()
    .raw({ depth: 'ushort' })
    .toBuffer({ resolveWithObject: true });
  const values = new Uint16Array(data.buffer, data.byteOffset, data.length / 2);
  return { width: info.width, height: info.height, channels: 3, data: rgbOfGrey16(values, grey16) };
}

async function decodeGif(open: Open, bytes: Uint8Array): Promise<Image> {
  const { file, canvas } = firstFrame(bytes);
  const frame = await rgb(open(file, sharpOptions('GIF')).toColourspace('srgb').removeAlpha());
  const { width, height, left, top, fill } = canvas;
  if (frame.width === width && frame.height === height) return frame;
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < data.length; i++) data[i] = fill[i % 3];
  const row = 3 * frame.width;
  for (let y = 0; y < frame.height; y++) {
    data.set(frame.data.subarray(y * row, (y + 1) * row), 3 * ((top + y) * width + left));
  }
  return { width, height, channels: 3, data };
}

async function rgb(image: Sharp): Promise<Image> {
  const { data, info } = await image.raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, channels: 3, data };
}

function rgbOfGrey16(values: Uint16Array, grey16: 'clip' | 'scale'): Uint8Array {
  const data = new Uint8Array(3 * values.length);
  for (const [i, value] of values.entries()) {
    data.fill(grey16 === 'scale' ? value >> 8 : Math.min(value, 255), 3 * i, 3 * i + 3);
  }
  return data;
}

let open: Open | undefined;

/** Loads sharp on first use, so that commands that read no images do not wait for its libraries. */
async function loadSharp(): Promise<Open> {
  const { default: sharp } = await import('sharp');
  // Many images are decoded in parallel, so threads within one image would only take cores from the training step.
  sharp.concurrency(1);
  // Each image is read once per epoch, so a cache of results would only waste memory.
  sharp.cache(false);
  return sharp;
}

/**
 * The first frame of a GIF as a separate GIF, opaque and of the frame's size, so that all readers decode it the same way; and
 * the canvas around it, as in Pillow.
 */
interface GifFrame {
  readonly file: Buffer;
  readonly canvas: {
    readonly width: number;
    readonly height: number;
    /** Position of the frame in the canvas. */
    readonly left: number;
    readonly top: number;
    /** Colour around the frame: the transparent colour, or the first colour of the palette. */
    readonly fill: readonly [red: number, green: number, blue: number];
  };
}

const EXTENSION = 0x21;
const GRAPHIC_CONTROL = 0xf9;
const IMAGE = 0x2c;

/** @throws InputError if the file has no frame, or ends before it. */
function firstFrame(bytes: Uint8Array): GifFrame {
  const file = Buffer.from(bytes);
  const byte = (at: number) => {
    if (at >= file.length) throw new InputError('truncated');
    return file[at];
  };
  const tableBytes = (flags: number) => ((flags & 0x80) === 0 ? 0 : 3 << ((flags & 7) + 1));
  const global = { start: 13, bytes: tableBytes(byte(10)) };
  const [width, height] = [file.readUInt16LE(6), file.readUInt16LE(8)];
  let transparent = -1;
  let at = global.start + global.bytes;
  while (byte(at) === EXTENSION) {
    const isControl = byte(at + 1) === GRAPHIC_CONTROL;
    at += 2;
    if (isControl && (byte(at + 1) & 1) === 1) {
      transparent = byte(at + 4);
      file[at + 1] &= ~1;
    }
    while (byte(at) !== 0) at += 1 + byte(at);
    at++;
  }
  if (byte(at) !== IMAGE || at + 10 > file.length) throw new InputError('a GIF without an image');
  const [left, top] = [file.readUInt16LE(at + 1), file.readUInt16LE(at + 3)];
  const [frameWidth, frameHeight] = [file.readUInt16LE(at + 5), file.readUInt16LE(at + 7)];
  const local = { start: at + 10, bytes: tableBytes(byte(at + 9)) };
  file.writeUInt32LE(0, at + 1);
  file.writeUInt16LE(frameWidth, 6);
  file.writeUInt16LE(frameHeight, 8);
  const palette = local.bytes > 0 ? local : global;
  const entry = palette.start + 3 * Math.max(transparent, 0);
  const inside = entry + 3 <= palette.start + palette.bytes;
  const fill = [0, 1, 2].map((c) => (inside ? byte(entry + c) : 0));
  return {
    file,
    canvas: {
      // A frame that extends over the edge enlarges the image.
      width: Math.max(width, left + frameWidth),
      height: Math.max(height, top + frameHeight),
      left,
      top,
      fill: [fill[0], fill[1], fill[2]],
    },
  };
}
