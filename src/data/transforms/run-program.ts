import { runInMemory } from '../../torch/images.js';
import type { Image } from '../dataset.js';
import { encodeProgram, type PixelProgram } from './pixels.js';

/**
 * Executes a program on the pixels of an image, at once and on the calling thread. The result is a new image,
 * byte for byte what Pillow 9.4 makes of the same steps.
 *
 * @throws Error where a step's numbers are out of their range, or a `resize` reaches over the image's edge.
 */
export function runProgram(image: Image, program: PixelProgram): Image {
  const { data, width, height, channels } = image;
  return runInMemory(data, { channels, height, width }, encodeProgram(program));
}
