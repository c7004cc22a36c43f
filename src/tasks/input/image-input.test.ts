import { describe, expect, test } from 'vitest';
import type { Batch } from '../../data/dataset.js';
import { scope } from '../../torch/scope.js';
import { imageInput } from './image-input.js';

const [SIZE, CHANNELS, HEIGHT, WIDTH] = [4, 3, 20, 30];
const PLANE = HEIGHT * WIDTH;
const MEAN = [0.5, 0.25, 0];
const STD = [0.5, 0.25, 2];

const images = Uint8Array.from({ length: SIZE * CHANNELS * PLANE }, (_, i) => (i * i + 31 * i) % 256);
const labels = Int32Array.of(0, 1, 2, 3);
const plain: Batch = {
  size: SIZE,
  channels: CHANNELS,
  height: HEIGHT,
  width: WIDTH,
  images,
  labels,
  indices: labels,
};

const input = (more: Partial<Batch> = {}) =>
  scope(() => {
    const options = { channels: CHANNELS, mean: MEAN, std: STD, device: 'cpu' };
    const pixels = imageInput(options)({ ...plain, ...more });
    expect(pixels.shape).toEqual([SIZE, CHANNELS, HEIGHT, WIDTH]);
    return pixels.toFloat32Array();
  });

/** Of element `at`: its image, channel, row and column. */
function place(at: number) {
  const plane = Math.floor(at / PLANE);
  return {
    slot: Math.floor(plane / CHANNELS),
    channel: plane % CHANNELS,
    y: Math.floor((at % PLANE) / WIDTH),
    x: at % WIDTH,
  };
}

const normalised = Float32Array.from(images, (pixel, at) => {
  const { channel } = place(at);
  return (Math.fround(pixel / 255) - MEAN[channel]) / STD[channel];
});

/** The same pixel of the partner, which is as far from the end of the batch. */
const partner = (at: number) => at + (SIZE - 1 - 2 * place(at).slot) * CHANNELS * PLANE;

function expectClose(actual: Float32Array, expected: (at: number) => number) {
  const worst = actual.reduce((max, value, at) => Math.max(max, Math.abs(value - expected(at))), 0);
  expect(worst).toBeLessThan(1e-6);
}

const boxes = [
  { slot: 3, left: 2, top: 1, width: 25, height: 18 },
  { slot: 0, left: 0, top: 0, width: 29, height: 19 },
];
const isErased = (at: number) => {
  const { slot, x, y } = place(at);
  return boxes.some(
    (box) =>
      box.slot === slot &&
      y >= box.top &&
      y < box.top + box.height &&
      x >= box.left &&
      x < box.left + box.width,
  );
};

test('without erasing and mixing, images are normalised', () => {
  expectClose(input(), (at) => normalised[at]);
});

describe('erasing', () => {
  const erased = input({ erased: boxes, noiseKey: ['noise', 1] });
  const noise = [...erased.filter((_, at) => isErased(at))];

  test('fills only the boxes, in all channels', () => {
    expectClose(erased, (at) => (isErased(at) ? erased[at] : normalised[at]));
    expect(noise).toHaveLength(CHANNELS * (25 * 18 + 29 * 19));
    const before = normalised.filter((_, at) => isErased(at));
    expect(noise.every((value, i) => value !== before[i])).toBe(true);
  });

  test('with independent N(0, 1) for each pixel and channel', () => {
    const n = noise.length;
    const moment = (power: number) => noise.reduce((sum, x) => sum + x ** power, 0) / n;
    // Standard errors of the moments of N(0, 1): 1, sqrt 2, sqrt 15, sqrt 96 over sqrt n.
    expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / n));
    expect(Math.abs(moment(3))).toBeLessThan(4 * Math.sqrt(15 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / n));
    expect(new Set(noise).size).toBeGreaterThan(0.99 * n);
    // Neighbours, and the same pixel of the next channel.
    for (const apart of [1, 29, 25 * 18, 29 * 19]) {
      const products = noise.slice(apart).map((x, i) => x * noise[i]);
      const mean = products.reduce((a, b) => a + b) / products.length;
      expect(Math.abs(mean)).toBeLessThan(4 / Math.sqrt(products.length));
    }
  });

  test('depending on the key of the batch', () => {
    expect(input({ erased: boxes, noiseKey: ['noise', 1] })).toEqual(erased);
    const other = input({ erased: boxes, noiseKey: ['noise', 2] });
    expect(other.filter((_, at) => isErased(at))).not.toEqual(Float32Array.from(noise));
    expect(() => input({ erased: boxes })).toThrow('no random key for their noise');
  });

  test('of a grey image for a colour model uses colour noise', () => {
    scope(() => {
      const grey = { ...plain, channels: 1, images: new Uint8Array(SIZE * PLANE) };
      const batch = { ...grey, erased: boxes, noiseKey: ['noise', 1] };
      const options = { channels: CHANNELS, mean: [0, 0, 0], std: [1, 1, 1], device: 'cpu' };
      const pixels = imageInput(options)(batch).toFloat32Array();
      expect(pixels.filter((_, at) => isErased(at))).toEqual(Float32Array.from(noise));
      expect(pixels.filter((_, at) => !isErased(at)).every((value) => value === 0)).toBe(true);
    });
  });
});

describe('mixing with the reversed batch', () => {
  const lambda = 0.3;

  test('mixup is lambda of the image and 1 - lambda of its partner', () => {
    expectClose(
      input({ mix: { lambda } }),
      (at) => lambda * normalised[at] + (1 - lambda) * normalised[partner(at)],
    );
  });

  test("cutmix is the image with its partner's box", () => {
    const box = { left: 7, top: 3, width: 10, height: 16 };
    const isPasted = (at: number) => {
      const { x, y } = place(at);
      return x >= 7 && x < 17 && y >= 3 && y < 19;
    };
    expectClose(input({ mix: { lambda, box } }), (at) => normalised[isPasted(at) ? partner(at) : at]);
  });

  test('comes after erasing', () => {
    const more = { erased: boxes, noiseKey: [1] };
    const erased = input(more);
    expectClose(
      input({ ...more, mix: { lambda } }),
      (at) => lambda * erased[at] + (1 - lambda) * erased[partner(at)],
    );
    const box = { left: 0, top: 0, width: WIDTH, height: HEIGHT };
    expect(input({ ...more, mix: { lambda: 0, box } })).toEqual(erased.map((_, at) => erased[partner(at)]));
  });
});
