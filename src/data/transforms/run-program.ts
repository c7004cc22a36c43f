import { runInMemory } from '../../torch/images.js';
import type { Image } from '../dataset.js';
import { encodeProgram, type PixelProgram } from './pixels.js';

/**
 * Runs a program on the pixels of an image, synchronously on the calling thread. The result is a new image, byte for byte the
 * same as from Pillow 9.4 with the same steps.
 *
 * @throws Error if a number of a step is out of range, or the box of a `resize` extends over the image's edge.
 */
export function runProgram(image: Image, program: PixelProgram): Image {
  const { data, width, height, channels } = image;
  return runInMemory(data, { channels, height, width }, encodeProgram(program));
}
