import { InputError } from '../../base/errors.js';
import { openImages, runImages } from '../../torch/images.js';
import type { EncodedImage } from '../dataset.js';
import { decodeImage, isGrey16, orientationOf } from '../images/decode.js';
import type { ImageSize } from '../transforms/transform.js';

/** Properties of a decoded image. */
export interface CheckedImage extends ImageSize {
  /** EXIF orientation, 1 (upright) to 8. */
  readonly orientation: number;
  /** Whether the image is 16-bit grey. */
  readonly grey16: boolean;
}

/**
 * Reads and decodes a complete image, as the loader does.
 *
 * @throws InputError with the reason why it cannot be read, without the image's name.
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
