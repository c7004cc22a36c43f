import type { Planes } from '../../data/label-maps/resize.js';

/** Largest side of a panel in pixels. */
const SIDE = 192;

/** An RGB image. */
export interface Panel {
  readonly width: number;
  readonly height: number;
  readonly pixels: Uint8Array;
}

/**
 * The upper left part of an image, no side longer than 192 pixels: the means of the pixels that each one covers. A grey image becomes
 * RGB.
 * @param part its size; default: the whole image
 */
export function panelOf(
  { channels, data, ...image }: Planes,
  part: { readonly width: number; readonly height: number } = image,
): Panel {
  const factor = Math.min(1, SIDE / Math.max(part.width, part.height));
  const [width, height] = [part.width, part.height].map((side) => Math.max(1, Math.round(side * factor)));
  const pixels = new Uint8Array(3 * width * height);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = range(y, height, part.height);
    for (let x = 0; x < width; x++) {
      const [left, right] = range(x, width, part.width);
      for (let channel = 0; channel < 3; channel++) {
        const plane = Math.min(channel, channels - 1) * image.height * image.width;
        let sum = 0;
        for (let row = top; row < bottom; row++)
          for (let column = left; column < right; column++) sum += data[plane + row * image.width + column];
        pixels[3 * (y * width + x) + channel] = sum / ((bottom - top) * (right - left));
      }
    }
  }
  return { width, height, pixels };
}

/** The pixels of a side that pixel `place` of `size` covers. */
function range(place: number, size: number, whole: number): [from: number, to: number] {
  const from = Math.floor((place * whole) / size);
  return [from, Math.max(Math.floor(((place + 1) * whole) / size), from + 1)];
}

/** Panels of one size side by side, as PNG. */
export async function panelsPng(panels: readonly Panel[]): Promise<Uint8Array> {
  const [{ width, height }] = panels;
  const pixels = new Uint8Array(3 * panels.length * width * height);
  for (const [i, panel] of panels.entries()) {
    for (let y = 0; y < height; y++) {
      const row = panel.pixels.subarray(3 * y * width, 3 * (y + 1) * width);
      pixels.set(row, 3 * (panels.length * y + i) * width);
    }
  }
  const { default: sharp } = await import('sharp');
  return sharp(pixels, { raw: { width: panels.length * width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** A pixel with `opacity` of a colour over it. */
export function blend({ pixels }: Panel, at: number, colour: readonly number[], opacity: number): void {
  for (let channel = 0; channel < 3; channel++)
    pixels[3 * at + channel] = (1 - opacity) * pixels[3 * at + channel] + opacity * colour[channel];
}

/** The colour of a class: hues that are far apart for neighbouring labels, in three brightnesses. */
export function classColour(label: number): string {
  return `#${rgbOf(label)
    .map((value) => value.toString(16).padStart(2, '0'))
    .join('')}`;
}

/** Red, green and blue of `classColour`. */
export function rgbOf(label: number): number[] {
  const hue = (label * 137.508) % 360;
  const lightness = [0.5, 0.66, 0.36][Math.floor(label / 3) % 3];
  const chroma = 0.75 * Math.min(lightness, 1 - lightness);
  return [0, 8, 4].map((shift) => {
    const k = (shift + hue / 30) % 12;
    return Math.round(255 * (lightness - chroma * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  });
}
