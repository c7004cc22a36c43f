import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import type { Batch, Shrink } from '../../data/dataset.js';
import { scope } from '../../torch/scope.js';
import { imageInput } from './image-input.js';

/** Made by test/fixtures/make-shrink.py with numpy's FFT and Pillow. */
const { count, cases } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/shrink.json', import.meta.url), 'utf8'),
) as { count: number; cases: { side: number; size: number; low_pass: string; resized: string }[] };

const floats = (base64: string) => new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);

function batchOf(side: number, size: number, pixel: (i: number) => number): Batch {
  const images = Uint8Array.from({ length: size * side * side }, (_, i) => pixel(i));
  const labels = new Int32Array(size);
  return { size, channels: 1, height: side, width: side, images, labels, indices: labels };
}

const plain = { channels: 1, mean: [0], std: [1], device: 'cpu' };

function inputOf(batch: Batch, shrink?: Shrink, options = plain): Float32Array {
  return scope(() => imageInput(options)({ ...batch, ...(shrink && { shrink }) }).toFloat32Array());
}

const worst = (a: Float32Array, b: Float32Array) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);

test.each(cases)(
  '$side to $size pixels as numpy and Pillow make them',
  ({ side, size, low_pass, resized }) => {
    const batch = batchOf(side, count, (i) => (i * i + 31 * i) % 256);
    const low = inputOf(batch, { size, lowPass: true });
    const small = inputOf(batch, { size, lowPass: false });
    expect(low).toHaveLength(count * size * size);
    expect(worst(low, floats(low_pass))).toBeLessThan(1e-5);
    expect(worst(small, floats(resized))).toBeLessThan(1e-5);
    expect(worst(low, small)).toBeGreaterThan(0.05);
  },
);

describe('low frequencies', () => {
  const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value / values.length, 0);

  test('keep the mean intensity, of images that are normalised, too', () => {
    const batch = batchOf(28, 3, (i) => (i * 7 + Math.floor(i / 784) * 40) % 256);
    const options = { ...plain, mean: [0.3], std: [0.4] };
    const [full, low] = [
      inputOf(batch, undefined, options),
      inputOf(batch, { size: 14, lowPass: true }, options),
    ];
    for (let image = 0; image < 3; image++) {
      const own = [
        full.subarray(784 * image, 784 * (image + 1)),
        low.subarray(196 * image, 196 * (image + 1)),
      ];
      expect(mean(own[1])).toBeCloseTo(mean(own[0]), 5);
    }
  });

  test('of a wave below the crop are the wave itself, at fewer pixels', () => {
    const wave = (side: number) => (i: number) =>
      127.5 + 100 * Math.cos((2 * Math.PI * 3 * (i % side)) / side);
    const low = inputOf(batchOf(32, 1, wave(32)), { size: 16, lowPass: true });
    const sampled = Float32Array.from({ length: 256 }, (_, i) => wave(16)(i) / 255);
    expect(worst(low, sampled)).toBeLessThan(1 / 255);
  });
});

test('images are mixed and erased at their full size, then shrunk', () => {
  const batch = batchOf(28, 2, (i) => (i * i) % 256);
  const box = { left: 3, top: 5, width: 11, height: 7 };
  const mixed = { ...batch, mix: { lambda: 0.9, box } };
  const pasted = {
    ...batch,
    images: batch.images.map((pixel, i) => {
      const [x, y] = [i % 28, Math.floor((i % 784) / 28)];
      const isInside = x >= 3 && x < 14 && y >= 5 && y < 12;
      return isInside ? batch.images[i < 784 ? i + 784 : i - 784] : pixel;
    }),
  };
  const shrink = { size: 14, lowPass: true };
  expect(worst(inputOf(mixed, shrink), inputOf(pasted, shrink))).toBeLessThan(1e-6);
});
