import type { Box } from '../dataset.js';

/** Planar pixels: channels x height x width. */
export interface Planes {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

export interface PixelSize {
  readonly height: number;
  readonly width: number;
}

/** Resolution of OpenCV's fixed-point weights. */
const ONE = 2048;

/** For each position of a resized line: the two source positions and the weight of each. */
interface Weights {
  readonly first: Int32Array;
  readonly second: Int32Array;
  readonly ofFirst: Int32Array;
  readonly ofSecond: Int32Array;
}

/**
 * A box of the image resized to `size`, bilinear without antialiasing: the bytes of OpenCV's `resize` with INTER_LINEAR, which is
 * computed in fixed point. Only the box is computed.
 */
export function resizeBilinearBox(image: Planes, size: PixelSize, box: Box): Planes {
  const { channels, height, width, data } = image;
  if (size.height === height && size.width === width) return cropped(image, box);
  const across = weightsOf(width, size.width, box.left, box.width, true);
  const down = weightsOf(height, size.height, box.top, box.height, false);
  const out = new Uint8Array(channels * box.height * box.width);
  const rows = [new Int32Array(box.width), new Int32Array(box.width)];
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    const plane = data.subarray(channel * height * width, (channel + 1) * height * width);
    const held = [-1, -1];
    for (let y = 0; y < box.height; y++) {
      const wanted = [down.first[y], down.second[y]];
      // The second row of the last line is often the first of this one.
      if (held[0] !== wanted[0] && held[1] === wanted[0]) {
        rows.reverse();
        held.reverse();
      }
      for (const k of [0, 1]) {
        if (held[k] === wanted[k]) continue;
        resizeLine(plane, wanted[k] * width, across, rows[k]);
        held[k] = wanted[k];
      }
      const [upper, lower] = rows;
      const [a, b] = [down.ofFirst[y], down.ofSecond[y]];
      for (let x = 0; x < box.width; x++) {
        out[at++] = (((a * (upper[x] >> 4)) >> 16) + ((b * (lower[x] >> 4)) >> 16) + 2) >> 2;
      }
    }
  }
  return { channels, height: box.height, width: box.width, data: out };
}

function resizeLine(plane: Uint8Array, start: number, across: Weights, into: Int32Array): void {
  const { first, second, ofFirst, ofSecond } = across;
  for (let x = 0; x < into.length; x++) {
    into[x] = plane[start + first[x]] * ofFirst[x] + plane[start + second[x]] * ofSecond[x];
  }
}

/** @param isClipped beyond the ends, the weight is that of the end; else both positions are the end, which rounds differently */
function weightsOf(from: number, to: number, start: number, length: number, isClipped: boolean): Weights {
  const scale = 1 / (to / from);
  const made = {
    first: new Int32Array(length),
    second: new Int32Array(length),
    ofFirst: new Int32Array(length),
    ofSecond: new Int32Array(length),
  };
  const within = (position: number) => Math.min(Math.max(position, 0), from - 1);
  for (let i = 0; i < length; i++) {
    const place = Math.fround((start + i + 0.5) * scale - 0.5);
    const floor = Math.floor(place);
    const isInside = floor >= 0 && floor < from - 1;
    const share = isInside || !isClipped ? Math.fround(place - floor) : 0;
    made.first[i] = within(floor);
    made.second[i] = within(floor + 1);
    made.ofFirst[i] = roundHalfEven(Math.fround(Math.fround(1 - share) * ONE));
    made.ofSecond[i] = roundHalfEven(Math.fround(share * ONE));
  }
  return made;
}

function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

/** A box of the image resized to `size` by the nearest pixel, rounded down: OpenCV's INTER_NEAREST. */
export function resizeNearestBox(image: Planes, size: PixelSize, box: Box): Planes {
  const { channels, height, width, data } = image;
  if (size.height === height && size.width === width) return cropped(image, box);
  const columns = nearest(width, size.width, box.left, box.width);
  const rows = nearest(height, size.height, box.top, box.height);
  const out = new Uint8Array(channels * box.height * box.width);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (const row of rows) {
      const start = (channel * height + row) * width;
      for (let x = 0; x < columns.length; x++) out[at++] = data[start + columns[x]];
    }
  }
  return { channels, height: box.height, width: box.width, data: out };
}

function nearest(from: number, to: number, start: number, length: number): Int32Array {
  const scale = 1 / (to / from);
  return Int32Array.from({ length }, (_, i) => Math.min(Math.floor((start + i) * scale), from - 1));
}

function cropped({ channels, height, width, data }: Planes, box: Box): Planes {
  const out = new Uint8Array(channels * box.height * box.width);
  let at = 0;
  for (let channel = 0; channel < channels; channel++) {
    for (let y = 0; y < box.height; y++) {
      const start = (channel * height + box.top + y) * width + box.left;
      out.set(data.subarray(start, start + box.width), at);
      at += box.width;
    }
  }
  return { channels, height: box.height, width: box.width, data: out };
}

/** The whole image, resized bilinearly. */
export function resizedWhole(image: Planes, size: PixelSize): Planes {
  return resizeBilinearBox(image, size, { left: 0, top: 0, ...size });
}

/** Mirrors left to right. */
export function flipped({ channels, height, width, data }: Planes): Planes {
  const out = data.slice();
  for (let row = 0; row < channels * height; row++) out.subarray(row * width, (row + 1) * width).reverse();
  return { channels, height, width, data: out };
}

/**
 * The largest size with the image's aspect ratio whose longer side is at most `long` and whose shorter side at most `short`,
 * as in mmcv's `imrescale`.
 */
export function sizeWithin({ height, width }: PixelSize, long: number, short: number): PixelSize {
  const factor = Math.min(long / Math.max(height, width), short / Math.min(height, width));
  const scaled = (side: number) => Math.max(1, Math.trunc(side * factor + 0.5));
  return { height: scaled(height), width: scaled(width) };
}
