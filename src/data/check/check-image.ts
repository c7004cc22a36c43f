import { InputError } from '../../base/errors.js';
import { openImages, runImages } from '../../torch/images.js';
import type { EncodedImage } from '../dataset.js';
import { decodeImage, isGrey16, orientationOf } from '../images/decode.js';
import type { ImageSize } from '../transforms/transform.js';

/** What decoding an image showed. */
export interface CheckedImage extends ImageSize {
  /** EXIF's, 1 to 8; 1: upright. */
  readonly orientation: number;
  /** Whether it is grey of 16 bits. */
  readonly grey16: boolean;
}

/**
 * Reads and decodes all of an image as the loader does.
 *
 * @throws InputError saying why it cannot be read, without its name.
 */
export async function checkImage(source: EncodedImage): Promise<CheckedImage> {
  const [file] = await openImages([source]);
  if ('error' in file) throw new InputError(file.error);
  if ('bytes' in file) {
    const { width, height, channels } = await decodeImage(file.bytes, source);
    const orientation = await orientationOf(file.bytes);
    return { width, height, channels, orientation, grey16: isGrey16(file.bytes) };
  }
  const { handle, width, height, orientation } = file;
  const size = { width, height, channels: 3 } as const;
  const job = { handle, program: new Float64Array(0), slot: 0 };
  const [error] = await runImages([job], size, new Uint8Array(3 * width * height));
  if (error !== null) throw new InputError(error);
  return { ...size, orientation, grey16: false };
}
