import { IGNORED } from '../../data/dataset.js';
import type { Planes } from '../../data/label-maps/resize.js';

/** Largest side of a panel in pixels. */
const SIDE = 192;
/** Share of a class's colour in a pixel. */
const OPACITY = 0.55;

export interface MapPicture {
  /** The panels side by side: the image, its labels and the prediction, both over the image. */
  readonly png: Uint8Array;
  /** Size of a panel in pixels. */
  readonly width: number;
  readonly height: number;
  /** The classes that are labelled or predicted, the most frequent first. */
  readonly classes: readonly number[];
}

/**
 * Draws the labels and the prediction of one image. Pixels without a label show the image.
 * @param labels class of each pixel, or `IGNORED`
 */
export async function drawMaps(
  image: Planes,
  labels: Uint8Array,
  prediction: Uint8Array,
): Promise<MapPicture> {
  const factor = Math.min(1, SIDE / Math.max(image.width, image.height));
  const [width, height] = [image.width, image.height].map((side) => Math.max(1, Math.round(side * factor)));
  const size = { width, height };
  const base = reduced(image, size, (at, channel) => image.data[channel * image.width * image.height + at]);
  const panels = [undefined, labels, prediction].map((map) =>
    map === undefined ? base : coloured(base, nearest(map, image, size)),
  );
  const { default: sharp } = await import('sharp');
  const pixels = new Uint8Array(3 * 3 * width * height);
  for (const [panel, colours] of panels.entries()) {
    for (let y = 0; y < height; y++) {
      const row = colours.subarray(3 * y * width, 3 * (y + 1) * width);
      pixels.set(row, 3 * (3 * y + panel) * width);
    }
  }
  const raw = { width: 3 * width, height, channels: 3 } as const;
  const png = await sharp(pixels, { raw }).png().toBuffer();
  return { png, width, height, classes: classesIn(labels, prediction) };
}

interface Size {
  readonly width: number;
  readonly height: number;
}

/** RGB pixels of an image in a smaller size: the means of the pixels that each one covers. */
function reduced(
  { channels, ...from }: Pick<Planes, 'channels' | 'width' | 'height'>,
  { width, height }: Size,
  valueAt: (at: number, channel: number) => number,
): Uint8Array {
  const pixels = new Uint8Array(3 * width * height);
  const range = (place: number, size: number, whole: number) => [
    Math.floor((place * whole) / size),
    Math.max(Math.floor(((place + 1) * whole) / size), Math.floor((place * whole) / size) + 1),
  ];
  for (let y = 0; y < height; y++) {
    const [top, bottom] = range(y, height, from.height);
    for (let x = 0; x < width; x++) {
      const [left, right] = range(x, width, from.width);
      for (let channel = 0; channel < 3; channel++) {
        let sum = 0;
        for (let row = top; row < bottom; row++)
          for (let column = left; column < right; column++)
            sum += valueAt(row * from.width + column, Math.min(channel, channels - 1));
        pixels[3 * (y * width + x) + channel] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return pixels;
}

function nearest(map: Uint8Array, from: Size, { width, height }: Size): Uint8Array {
  return Uint8Array.from({ length: width * height }, (_, at) => {
    const y = Math.floor((Math.floor(at / width) * from.height) / height);
    const x = Math.floor(((at % width) * from.width) / width);
    return map[y * from.width + x];
  });
}

function coloured(base: Uint8Array, map: Uint8Array): Uint8Array {
  return base.map((value, at) => {
    const label = map[Math.floor(at / 3)];
    if (label === IGNORED) return value;
    return (1 - OPACITY) * value + OPACITY * rgbOf(label)[at % 3];
  });
}

function classesIn(...maps: readonly Uint8Array[]): number[] {
  const counts = new Int32Array(256);
  for (const map of maps) for (const label of map) counts[label]++;
  counts[IGNORED] = 0;
  const present = [...counts.keys()].filter((label) => counts[label] > 0);
  return present.sort((a, b) => counts[b] - counts[a]);
}

/** The colour of a class: hues that are far apart for neighbouring labels, in three brightnesses. */
export function classColour(label: number): string {
  return `#${rgbOf(label)
    .map((value) => value.toString(16).padStart(2, '0'))
    .join('')}`;
}

function rgbOf(label: number): number[] {
  const hue = (label * 137.508) % 360;
  const lightness = [0.5, 0.66, 0.36][Math.floor(label / 3) % 3];
  const chroma = 0.75 * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((shift) => {
    const k = (shift + hue / 30) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}
