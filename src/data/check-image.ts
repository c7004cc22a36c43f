import { InputError } from '../base/errors.js';
import { openImages, runImages } from '../torch/images.js';
import type { EncodedImage } from './dataset.js';
import { decodeImage } from './decode.js';
import type { ImageSize } from './transform.js';

/**
 * Reads and decodes all of an image as the loader does, and gives its size.
 *
 * @throws InputError saying why it cannot be read, without its name.
 */
export async function checkImage(source: EncodedImage): Promise<ImageSize> {
  const [file] = await openImages([source]);
  if ('error' in file) throw new InputError(file.error);
  if ('bytes' in file) {
    const { width, height, channels } = await decodeImage(file.bytes);
    return { width, height, channels };
  }
  const { handle, width, height } = file;
  const size = { width, height, channels: 3 } as const;
  const job = { handle, program: new Float64Array(0), slot: 0 };
  const [error] = await runImages([job], size, new Uint8Array(3 * width * height));
  if (error !== null) throw new InputError(error);
  return size;
}
