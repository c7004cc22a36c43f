import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { type RandomStream, randomStream } from '../base/random.js';
import type { Image } from './dataset.js';
import { resizeBicubic } from './resize.js';
import {
  compose,
  evalTransform,
  horizontalFlip,
  randomCrop,
  randomResizedCrop,
  trainTransform,
} from './transform.js';

const golden = JSON.parse(readFileSync(new URL('../../test/golden/g_aug.json', import.meta.url), 'utf8'));

/** A stream that gives these numbers, then fails. */
function scripted(...draws: number[]): RandomStream & { asked: [number, number][] } {
  const asked: [number, number][] = [];
  const next = () => {
    const drawn = draws.shift();
    if (drawn === undefined) throw new Error('more was drawn than expected');
    return drawn;
  };
  return {
    asked,
    uniform: next,
    integer: (low, high) => {
      asked.push([low, high]);
      return next();
    },
  };
}

function counting(width: number, height: number, channels: 1 | 3 = 1): Image {
  const data = Uint8Array.from({ length: width * height * channels }, (_, i) => (i + 1) % 256);
  return { width, height, channels, data };
}

describe('randomCrop', () => {
  test('by hand: 3 x 2 padded by 1, crop of 2', () => {
    // 0 0 0 0 0
    // 0 1 2 3 0
    // 0 4 5 6 0
    // 0 0 0 0 0
    const cropped = (top: number, left: number) => {
      const random = scripted(top, left);
      const { data } = randomCrop(2, 1)(counting(3, 2), random);
      expect(random.asked).toEqual([
        [0, 2],
        [0, 3],
      ]);
      return [...data];
    };
    expect(cropped(0, 0)).toEqual([0, 0, 0, 1]);
    expect(cropped(1, 1)).toEqual([1, 2, 4, 5]);
    expect(cropped(2, 3)).toEqual([6, 0, 0, 0]);
    expect(cropped(0, 2)).toEqual([0, 0, 2, 3]);
  });

  test('padding wider than the image: all zero is possible', () => {
    expect([...randomCrop(2, 4)(counting(1, 1, 3), scripted(0, 7)).data]).toEqual(new Array(12).fill(0));
    expect([...randomCrop(1, 4)(counting(1, 1, 3), scripted(4, 4)).data]).toEqual([1, 2, 3]);
  });

  test('a pixel of the crop is the pixel of the padded image', () => {
    const small = fc.integer({ min: 1, max: 9 });
    fc.assert(
      fc.property(
        small,
        small,
        fc.nat(4),
        fc.constantFrom(1 as const, 3 as const),
        fc.nat(),
        (w, h, p, c, seed) => {
          const image = counting(w, h, c);
          const size = Math.min(w, h) + p;
          const stream = randomStream([seed]);
          const [top, left] = [
            stream.integer(0, h + 2 * p - size) - p,
            stream.integer(0, w + 2 * p - size) - p,
          ];
          const { data } = randomCrop(size, p)(image, randomStream([seed]));
          const expected: number[] = [];
          for (let y = top; y < top + size; y++) {
            for (let x = left; x < left + size; x++) {
              const inside = y >= 0 && y < h && x >= 0 && x < w;
              for (let k = 0; k < c; k++) expected.push(inside ? image.data[(y * w + x) * c + k] : 0);
            }
          }
          expect([...data]).toEqual(expected);
        },
      ),
    );
  });

  test('every place of a 28 px crop padded by 4 occurs', () => {
    const marked = { ...counting(28, 28), data: new Uint8Array(784) };
    marked.data[14 * 28 + 14] = 1;
    const places = new Set<number>();
    for (let i = 0; i < 2000; i++) places.add(randomCrop(28, 4)(marked, randomStream([i])).data.indexOf(1));
    expect(places.size).toBe(81);
  });

  test('too small an image is an InputError with both sizes', () => {
    const small = () => randomCrop(28, 4)(counting(19, 28), scripted());
    expect(small).toThrow(InputError);
    expect(small).toThrow(/19 x 28.* 28 x 28/);
  });
});

describe('horizontalFlip', () => {
  test('by hand', () => {
    const image = counting(3, 2);
    expect([...horizontalFlip(0.5)(image, scripted(0.49)).data]).toEqual([3, 2, 1, 6, 5, 4]);
    expect(horizontalFlip(0.5)(image, scripted(0.5))).toBe(image);
    expect([...horizontalFlip(1)(counting(2, 1, 3), scripted(0)).data]).toEqual([4, 5, 6, 1, 2, 3]);
    expect([...image.data]).toEqual([1, 2, 3, 4, 5, 6]);
  });

  test('happens half of the time', () => {
    const image = counting(2, 1);
    let flipped = 0;
    for (let i = 0; i < 4000; i++) if (horizontalFlip(0.5)(image, randomStream([i])) !== image) flipped++;
    expect(Math.abs(flipped / 4000 - 0.5)).toBeLessThan(0.03);
  });
});

describe('randomResizedCrop', () => {
  const transform = randomResizedCrop(8, [0.08, 1], [3 / 4, 4 / 3]);

  test('by hand: half the area, square, at (3, 5)', () => {
    const image = counting(20, 16, 3);
    const share = (0.5 - 0.08) / 0.92;
    const random = scripted(share, 0.5, 3, 5);
    const box = { top: 3, left: 5, width: 13, height: 13 };
    expect(transform(image, random)).toEqual(resizeBicubic(image, 8, 8, box));
    expect(random.asked).toEqual([
      [0, 3],
      [0, 7],
    ]);
  });

  test.each([
    [60, 9, { left: 24, top: 0, width: 12, height: 9 }],
    [9, 60, { left: 0, top: 24, width: 9, height: 12 }],
  ])('after ten tries that do not fit, %i x %i gives the centre', (width, height, box) => {
    const image = counting(width, height);
    const tries = Array.from({ length: 10 }, () => [0.999, 0.5]).flat();
    expect(transform(image, scripted(...tries))).toEqual(resizeBicubic(image, 8, 8, box));
  });

  test('boxes have the promised areas and ratios', () => {
    const image = counting(200, 160);
    const areas: number[] = [];
    for (let i = 0; i < 500; i++) {
      const stream = randomStream([i]);
      const spaces: number[] = [];
      transform(image, {
        uniform: stream.uniform,
        integer: (low, high) => {
          spaces.push(high);
          return stream.integer(low, high);
        },
      });
      if (spaces.length === 0) continue; // the centre: covered above
      const [height, width] = [160 - spaces[0], 200 - spaces[1]];
      areas.push((width * height) / (200 * 160));
      // Sides are rounded to whole pixels: half a pixel of at least 39.
      expect(width / height).toBeGreaterThan((3 / 4) * 0.97);
      expect(width / height).toBeLessThan((4 / 3) * 1.03);
    }
    expect(areas.length).toBeGreaterThan(490);
    expect(Math.min(...areas)).toBeGreaterThan(0.08 * 0.97);
    expect(Math.min(...areas)).toBeLessThan(0.1);
    expect(Math.max(...areas)).toBeGreaterThan(0.9);
  });
});

describe('evalTransform', () => {
  test('up to 32 an image passes as it is, or is an error with both sizes', () => {
    const image = counting(28, 28);
    expect(golden.eval_transform_28).not.toMatch(/Resize|Crop/);
    expect(evalTransform(28)(image)).toBe(image);
    const other = () => evalTransform(28)(counting(32, 28));
    expect(other).toThrow(InputError);
    expect(other).toThrow(/32 x 28.* 28 x 28/);
  });

  test.each(Object.entries<number>(golden.eval_resize_size))('%s: shorter side to %i', (key, shorter) => {
    // An image whose shorter side has that size already is only cropped.
    const size = Number(key);
    const image = counting(shorter, shorter + 3);
    const out = evalTransform(size)(image);
    const [top, left] = [shorter + 3 - size, shorter - size].map((space) => {
      const half = Math.floor(space / 2);
      return space % 2 === 1 && half % 2 === 1 ? half + 1 : half;
    });
    expect([out.width, out.height]).toEqual([size, size]);
    expect(out.data[0]).toBe(image.data[top * shorter + left]);
    expect(out.data.at(-1)).toBe(image.data[(top + size - 1) * shorter + left + size - 1]);
  });
});

describe('trainTransform', () => {
  test('at 28: the crop and flip of the official transform', () => {
    const [, size, padding] =
      /RandomCrop\(size=\((\d+), \d+\), padding=(\d+)\)/.exec(golden.train_transform_28) ?? [];
    const [, probability] = /RandomHorizontalFlip\(p=([\d.]+)\)/.exec(golden.train_transform_28) ?? [];
    const official = compose(randomCrop(Number(size), Number(padding)), horizontalFlip(Number(probability)));
    for (let i = 0; i < 50; i++) {
      const image = counting(28, 28, 3);
      expect(trainTransform(28)(image, randomStream([i]))).toEqual(official(image, randomStream([i])));
    }
  });

  test('above 32: any image gives the size', () => {
    const { width, height } = trainTransform(40)(counting(30, 90), randomStream([1]));
    expect([width, height]).toEqual([40, 40]);
  });
});
