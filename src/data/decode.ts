import { open as openFile } from 'node:fs/promises';
import type { Sharp, SharpOptions } from 'sharp';
import { errorText, InputError } from '../base/errors.js';
import type { EncodedImage, Image } from './dataset.js';

/** Names of files that are taken for images. */
export const IMAGE_FILE = /\.(png|jpe?g)$/i;

/**
 * Decodes a PNG or JPEG file to 8-bit RGB, byte for byte as Pillow's `Image.open(file).convert('RGB')`
 * does: alpha dropped without blending, EXIF orientation and colour profiles not applied. Only CMYK
 * JPEGs differ: Pillow's formula for them is cruder than libvips'.
 *
 * The work is queued to libuv's thread pool before this returns (but for the first call, which loads sharp).
 *
 * @throws InputError if the file is missing, truncated, damaged, or not an image.
 */
export async function decodeImage(source: EncodedImage): Promise<Image> {
  open ??= await loadSharp();
  const { file } = source;
  try {
    // 'truncated', not stricter: real photographs carry harmless oddities that every reader accepts.
    const { data, info } = await open(await contentOf(source), { failOn: 'truncated', ignoreIcc: true })
      .toColourspace('srgb')
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: 3, data };
  } catch (error) {
    throw new InputError(`${file}: cannot be read as an image (${errorText(error).trim()})`, {
      hint: 'Restore the file or remove it from its folder.',
      cause: error,
    });
  }
}

let open: ((content: string | Buffer, options: SharpOptions) => Sharp) | undefined;

/** A file's name, or the bytes of the part of one. */
async function contentOf({ file, start, bytes }: EncodedImage): Promise<string | Buffer> {
  if (start === undefined || bytes === undefined) return file;
  const handle = await openFile(file);
  try {
    const { buffer } = await handle.read(Buffer.alloc(bytes), 0, bytes, start);
    return buffer;
  } finally {
    await handle.close();
  }
}

/** On first use: commands that read no image need not wait for sharp's libraries. */
async function loadSharp() {
  const { default: sharp } = await import('sharp');
  // Images are decoded many at a time, so threads within one only take cores from the training step.
  sharp.concurrency(1);
  // Each image is read once an epoch: a cache of open files and results holds memory for nothing,
  // and would give a stale image where a file was replaced.
  sharp.cache(false);
  return sharp;
}
