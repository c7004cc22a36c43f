import type { Sharp, SharpOptions } from 'sharp';
import { errorText, InputError } from '../base/errors.js';
import type { Image } from './dataset.js';

/** Names of files that are taken for images. */
export const IMAGE_FILE = /\.(png|jpe?g)$/i;

/**
 * Decodes what the addon does not: a PNG, or a JPEG where the addon was built without libjpeg-turbo; to 8-bit
 * RGB, byte for byte as Pillow's `Image.open(file).convert('RGB')` does: alpha dropped without blending, EXIF
 * orientation and colour profiles not applied. Two differ: CMYK JPEGs, for which Pillow's formula is cruder than
 * libvips', and PNGs of 16-bit grey, which Pillow shows as white but for the darkest 256 levels.
 *
 * The work is queued to libuv's thread pool before this returns (but for the first call, which loads sharp).
 *
 * @throws InputError if the bytes are truncated, damaged, or no image.
 */
export async function decodeImage(bytes: Uint8Array): Promise<Image> {
  open ??= await loadSharp();
  try {
    // 'truncated', not stricter: real photographs carry harmless oddities that every reader accepts.
    const { data, info } = await open(bytes, { failOn: 'truncated', ignoreIcc: true })
      .toColourspace('srgb')
      .removeAlpha()
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, channels: 3, data };
  } catch (error) {
    // libvips may go on for lines.
    throw new InputError(errorText(error).split('\n', 1)[0], { cause: error });
  }
}

let open: ((content: Uint8Array, options: SharpOptions) => Sharp) | undefined;

/** On first use: commands that read no image need not wait for sharp's libraries. */
async function loadSharp() {
  const { default: sharp } = await import('sharp');
  // Images are decoded many at a time, so threads within one only take cores from the training step.
  sharp.concurrency(1);
  // Each image is read once an epoch: a cache of results holds memory for nothing.
  sharp.cache(false);
  return sharp;
}
