import { InputError } from '../../base/errors.js';
import type { Image } from '../dataset.js';
import type { ImageSize } from './transform.js';

/** Collects the images of a batch. */
export interface Canvas {
  /** Size of each image. @throws InputError if there is no image yet */
  readonly size: ImageSize;
  /** Slots x channels x height x width, planar. */
  readonly pixels: Uint8Array;
  /** The first image sets the size of all. @throws InputError if a later image has another size */
  admit(size: ImageSize): void;
}

export function createCanvas(slots: number): Canvas {
  let admitted: ImageSize | undefined;
  let pixels = new Uint8Array(0);
  return {
    get size() {
      if (admitted === undefined) throw new InputError('a batch needs at least one image');
      return admitted;
    },
    get pixels() {
      return pixels;
    },
    admit(size) {
      if (admitted === undefined) {
        const { width, height, channels } = size;
        admitted = { width, height, channels };
        pixels = new Uint8Array(slots * channels * height * width);
      } else if (textOf(size) !== textOf(admitted)) {
        throw new InputError(
          `the image is ${textOf(size)}, but others in its batch are ${textOf(admitted)}`,
          {
            hint: 'Make all images of the data set the same size and colour type.',
          },
        );
      }
    },
  };
}

/** Copies an image into its slot, planar. */
export function lay({ data, channels }: Image, slot: number, { pixels }: Canvas): void {
  const start = slot * data.length;
  if (channels === 1) {
    pixels.set(data, start);
    return;
  }
  const plane = data.length / 3;
  for (let from = 0, to = start; from < data.length; from += 3, to++) {
    pixels[to] = data[from];
    pixels[to + plane] = data[from + 1];
    pixels[to + 2 * plane] = data[from + 2];
  }
}

function textOf({ width, height, channels }: ImageSize): string {
  return `${width} x ${height} ${channels === 1 ? 'grey' : 'RGB'}`;
}
