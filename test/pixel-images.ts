import { createHash } from 'node:crypto';
import type { Image } from '../src/data/dataset.js';

/** The same values as VALUES in fixtures/make-pil-ops.py: of index i, column x, row y, channel c. */
const VALUES = {
  noise: (i: number) => (i * 7919 + ((i * i) % 251)) % 256,
  smooth: (_: number, x: number, y: number, c: number) =>
    20 + ((x * 5 + y * 3 + c * 40 + Math.floor((x * y) / 16)) % 200),
  flat: (_i: number, _x: number, _y: number, c: number) => 60 + 50 * c,
  black: () => 0,
  white: () => 255,
  two: (_: number, x: number, y: number, c: number) => ((x + y) % 3 === 0 ? 250 : 5 + c),
};
export type Kind = keyof typeof VALUES;

export function imageOf(kind: Kind, width: number, height: number, channels: 1 | 3): Image {
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => {
    const pixel = Math.floor(i / channels);
    return VALUES[kind](i, pixel % width, Math.floor(pixel / width), i % channels);
  });
  return { width, height, channels, data };
}

/** As the fixtures have it. */
export function digestOf({ data }: Image): string {
  return createHash('sha256').update(data).digest('hex').slice(0, 20);
}
