import { native } from '../torch/native.js';
import type { Image } from './dataset.js';
import { encodeProgram, type PixelProgram } from './pixels.js';

/**
 * What a program makes of an image in memory, at once, in this thread. Batches go through the loader's threads.
 * @throws Error for a program that does not fit the image: a resize of a part that reaches over its edge
 */
export function runProgram(image: Image, program: PixelProgram): Image {
  const { data, width, height, channels } = image;
  return native.runProgram(data, width, height, channels, encodeProgram(program)) as Image;
}
