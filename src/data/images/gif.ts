import { InputError } from '../../base/errors.js';

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
export function firstFrame(bytes: Uint8Array): GifFrame {
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
