import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { digestOf } from '../../../test/pixel-images.js';
import { native } from '../../torch/native.js';
import type { Box, Image } from '../dataset.js';
import { encodeProgram, type Matrix, type PixelProgram, type PixelStep } from './pixels.js';
import { runProgram } from './run-program.js';

const affine = (...matrix: Matrix): PixelStep => ({ op: 'affine', matrix, fill: [124, 116, 104] });

const side = fc.integer({ min: 1, max: 70 });
const channelsOf = fc.constantFrom(1 as const, 3 as const);
const images: fc.Arbitrary<Image> = fc
  .tuple(side, side, channelsOf, fc.integer({ min: 1, max: 255 }))
  .map(([width, height, channels, step]) => ({
    width,
    height,
    channels,
    data: Uint8Array.from({ length: width * height * channels }, (_, i) => (i * step + ((i * i) >> 5)) % 256),
  }));

/** A box within a width and a height. */
function boxIn(width: number, height: number): fc.Arbitrary<Box> {
  const rangeIn = (size: number) =>
    fc
      .integer({ min: 1, max: size })
      .chain((length) => fc.tuple(fc.integer({ min: 0, max: size - length }), fc.constant(length)));
  return fc
    .tuple(rangeIn(width), rangeIn(height))
    .map(([[left, width], [top, height]]) => ({ left, top, width, height }));
}

const factor = fc.double({ min: -5, max: 5, noNaN: true });
const number = fc.double({ noNaN: true, noDefaultInfinity: true });
const byte = fc.integer({ min: 0, max: 255 });
const crops = fc.record({
  left: fc.integer({ min: -90, max: 90 }),
  top: fc.integer({ min: -90, max: 90 }),
  width: side,
  height: side,
});

/** Steps for an image of any size, but resize. */
const steps: fc.Arbitrary<PixelStep> = fc.oneof(
  crops.map((box): PixelStep => ({ op: 'crop', box })),
  fc
    .tuple(fc.tuple(number, number, number, number, number, number), fc.tuple(byte, byte, byte))
    .map(([matrix, fill]): PixelStep => ({ op: 'affine', matrix, fill })),
  fc
    .tuple(factor, factor, fc.double({ min: -80, max: 80, noNaN: true }))
    .map(([a, b, c]): PixelStep => ({ op: 'affine', matrix: [a, b, c, b, a, c], fill: [124, 116, 104] })),
  fc.constantFrom('flip', 'autocontrast', 'equalize', 'invert').map((op): PixelStep => ({ op })),
  fc.integer({ min: 0, max: 8 }).map((bits): PixelStep => ({ op: 'posterize', bits })),
  number.map((threshold): PixelStep => ({ op: 'solarize', threshold })),
  fc
    .tuple(fc.integer({ min: -255, max: 255 }), number)
    .map(([add, threshold]): PixelStep => ({ op: 'solarizeAdd', add, threshold })),
  fc
    .tuple(fc.constantFrom('color', 'contrast', 'brightness', 'sharpness'), factor)
    .map(([op, factor]): PixelStep => ({ op, factor })),
);

describe('properties', () => {
  test('any program returns an image of the size that its steps state, and does not change its input', () => {
    fc.assert(
      fc.property(images, side, side, fc.array(steps, { maxLength: 5 }), (image, width, height, program) => {
        const before = digestOf(image);
        const out = runProgram(image, [...program, ...resizeAfter(image, program, width, height)]);
        expect([out.width, out.height, out.channels]).toEqual([width, height, image.channels]);
        expect(out.data.length).toBe(width * height * image.channels);
        expect(digestOf(image)).toBe(before);
      }),
    );
  });

  function resizeAfter(image: Image, program: PixelProgram, width: number, height: number): PixelProgram {
    const crop = program.findLast((step) => step.op === 'crop');
    const now = crop?.op === 'crop' ? crop.box : image;
    return [{ op: 'resize', box: { left: 0, top: 0, width: now.width, height: now.height }, width, height }];
  }

  test('a program equals its steps in sequence', () => {
    fc.assert(
      fc.property(images, fc.array(steps, { maxLength: 4 }), (image, program) => {
        const apart = program.reduce((made, step) => runProgram(made, [step]), image);
        expect(digestOf(runProgram(image, program))).toBe(digestOf(apart));
      }),
    );
  });

  test('also resize and then crop, which computes only what is kept', () => {
    const cases = fc.tuple(images, side, side).chain(([image, width, height]) => {
      const boxes = fc.oneof(boxIn(width, height), crops);
      return fc.tuple(
        fc.constant(image),
        boxIn(image.width, image.height),
        fc.constant([width, height]),
        boxes,
      );
    });
    fc.assert(
      fc.property(cases, ([image, box, [width, height], kept]) => {
        const resize: PixelStep = { op: 'resize', box, width, height };
        const crop: PixelStep = { op: 'crop', box: kept };
        const apart = runProgram(runProgram(image, [resize]), [crop]);
        expect(digestOf(runProgram(image, [resize, crop]))).toBe(digestOf(apart));
      }),
    );
  });

  test('the result is the same if only the region that the program reads was decoded', () => {
    const cases = fc.tuple(images, side, side).chain(([image, width, height]) => {
      const resize = boxIn(image.width, image.height).map(
        (box): PixelStep => ({ op: 'resize', box, width, height }),
      );
      const cropped = fc.oneof(boxIn(width, height), crops).map((box): PixelStep => ({ op: 'crop', box }));
      const programs = fc.oneof(
        resize.map((step) => [step]),
        fc.tuple(resize, cropped),
        fc.tuple(boxIn(image.width, image.height).map((box): PixelStep => ({ op: 'crop', box }))),
      );
      return fc.tuple(fc.constant(image), programs, fc.nat(3));
    });
    fc.assert(
      fc.property(cases, ([image, program, more]) => {
        const steps = encodeProgram(program);
        const [regionLeft, regionTop, regionWidth, regionHeight] = native.regionOf(steps) as number[];
        const left = Math.max(regionLeft - more, 0);
        const top = Math.max(regionTop - more, 0);
        const width = Math.min(regionLeft + regionWidth + more, image.width) - left;
        const height = Math.min(regionTop + regionHeight + more, image.height) - top;
        const { data } = runProgram(image, [{ op: 'crop', box: { left, top, width, height } }]);
        const part = [left, top, width, height, image.width, image.height] as const;
        const out = native.runProgram(data, width, height, image.channels, steps, part);
        expect(digestOf(out)).toBe(digestOf(runProgram(image, program)));
      }),
    );
  });

  test('a program reads all of an image, unless it starts with a crop or a resize', () => {
    fc.assert(
      fc.property(steps, (step) => {
        const box = step.op === 'crop' ? step.box : undefined;
        const expected = box ? [box.left, box.top, box.width, box.height, 0, 0] : null;
        expect(native.regionOf(encodeProgram([step, { op: 'flip' }]))).toEqual(expected);
      }),
    );
    expect(native.regionOf(encodeProgram([]))).toBeNull();
  });

  test('an image of one colour keeps it at any size', () => {
    fc.assert(
      fc.property(side, side, side, side, byte, (fromWidth, fromHeight, width, height, colour) => {
        const data = new Uint8Array(fromWidth * fromHeight).fill(colour);
        const box = { left: 0, top: 0, width: fromWidth, height: fromHeight };
        const flat: Image = { width: fromWidth, height: fromHeight, channels: 1, data };
        const out = runProgram(flat, [{ op: 'resize', box, width, height }]);
        expect(out.data).toEqual(new Uint8Array(width * height).fill(colour));
      }),
    );
  });

  const unchanged: Record<string, (image: Image) => PixelProgram> = {
    'no step': () => [],
    'two flips': () => [{ op: 'flip' }, { op: 'flip' }],
    'two inversions': () => [{ op: 'invert' }, { op: 'invert' }],
    'resize of all of it to its size': ({ width, height }) => [
      { op: 'resize', box: { left: 0, top: 0, width, height }, width, height },
    ],
    'the identity matrix': () => [affine(1, 0, 0, 0, 1, 0)],
    'a posterisation to 8 bits': () => [{ op: 'posterize', bits: 8 }],
    'factors of 1': () =>
      (['color', 'contrast', 'brightness', 'sharpness'] as const).map((op) => ({ op, factor: 1 })),
  };
  test.each(Object.entries(unchanged))('%s changes nothing', (_, program) => {
    fc.assert(
      fc.property(images, (image) => {
        expect(runProgram(image, program(image))).toEqual(image);
      }),
    );
  });
});
