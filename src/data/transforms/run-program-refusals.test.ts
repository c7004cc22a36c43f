import { describe, expect, test } from 'vitest';
import { imageOf } from '../../../test/pixel-images.js';
import { type NativePart, native } from '../../torch/native.js';
import type { Box } from '../dataset.js';
import { encodeProgram, type Matrix, type PixelProgram, type PixelStep } from './pixels.js';
import { runProgram } from './run-program.js';

const affine = (...matrix: Matrix): PixelStep => ({ op: 'affine', matrix, fill: [124, 116, 104] });

describe('refused programs', () => {
  const image = imageOf('noise', 12, 9, 3);
  const resize = (box: Partial<Box>, to: { width?: number; height?: number } = {}): PixelStep => ({
    op: 'resize',
    box: { left: 0, top: 0, width: 12, height: 9, ...box },
    width: 4,
    height: 4,
    ...to,
  });

  test.each<[string, PixelStep, RegExp]>([
    ['a resize over the edge', resize({ left: 1 }), /resize of 12 x 9 at 1, 0, outside the image of 12 x 9/],
    ['a resize before the edge', resize({ top: -1 }), /resize of 12 x 9 at 0, -1, outside/],
    ['a resize of nothing', resize({ width: 0 }), /resize: operand 2 is 0/],
    ['a resize to nothing', resize({}, { height: 0 }), /resize: operand 5 is 0/],
    ['a resize to half a pixel', resize({}, { width: 0.5 }), /resize: operand 4 is 0\.5/],
    [
      'a resize beyond all bounds',
      resize({}, { width: 1e6, height: 1e6 }),
      /image of 1000000 x 1000000 pixels/,
    ],
    ['a side beyond all bounds', resize({}, { width: 1e9 }), /resize: operand 4 is 1e\+09/],
    [
      'a crop beyond all bounds',
      { op: 'crop', box: { left: 0, top: 0, width: 1e6, height: 1e6 } },
      /image of 1000000 x 1000000 pixels/,
    ],
    ['a matrix with a hole', affine(1, 0, Number.NaN, 0, 1, 0), /affine: operand 2 is -?nan/],
    [
      'an invalid colour',
      { op: 'affine', matrix: [1, 0, 0, 0, 1, 0], fill: [0, 256, 0] },
      /operand 7 is 256/,
    ],
    ['nine bits', { op: 'posterize', bits: 9 }, /posterize: operand 0 is 9/],
    [
      'an infinite factor',
      { op: 'contrast', factor: Number.POSITIVE_INFINITY },
      /contrast: operand 0 is inf/,
    ],
    ['a factor beyond floats', { op: 'color', factor: 1e39 }, /color: operand 0 is 1e\+39/],
  ])('%s', (_, step, message) => {
    expect(() => runProgram(image, [step])).toThrow(message);
  });

  test.each([
    ['an unknown opcode', [99], /unknown opcode 99/],
    ['half an opcode', [2, 2.5], /unknown opcode 2\.5/],
    ['an opcode that is not a number', [Number.NaN], /unknown opcode -?nan/],
    ['a truncated program', [1, 0, 0, 12, 9, 4], /ends within a resize/],
  ])('%s', (_, program, message) => {
    const { data, width, height, channels } = image;
    expect(() => native.runProgram(data, width, height, channels, Float64Array.from(program))).toThrow(
      message,
    );
  });

  test.each<[string, Partial<Record<'width' | 'channels' | 'bytes', number>>, RegExp]>([
    ['too few pixels', { bytes: 323 }, /not as many as its size says/],
    ['an empty image', { width: 0, bytes: 0 }, /image of 0 x 9 pixels/],
    ['two channels', { channels: 2, bytes: 216 }, /image of 2 channels/],
  ])('%s', (_, { width = 12, channels = 3, bytes = 324 }, message) => {
    const program = encodeProgram([]);
    expect(() => native.runProgram(new Uint8Array(bytes), width, 9, channels, program)).toThrow(message);
  });

  test.each<[string, PixelProgram, NativePart, RegExp]>([
    ['a flip of a part', [{ op: 'flip' }], [0, 0, 12, 9, 13, 9], /all of it is needed/],
    ['no step of a part', [], [0, 0, 12, 9, 12, 10], /all of it is needed/],
    [
      'a resize of more than was decoded',
      [resize({ left: 1 })],
      [0, 0, 12, 9, 20, 20],
      /12 x 9 at 1, 0 reads more/,
    ],
    [
      'a crop of a shrunk image',
      [{ op: 'crop', box: { left: 0, top: 0, width: 1, height: 1 } }],
      [0, 0, 24, 18, 24, 18],
      /crop of 1 x 1 at 0, 0 reads more/,
    ],
    ['a part outside the image', [resize({})], [20, 0, 12, 9, 20, 20], /no part of it: 12 x 9 at 20, 0/],
    ['more pixels than the part has', [resize({})], [0, 0, 11, 9, 20, 20], /no part of it/],
  ])('%s', (_, program, part, message) => {
    expect(() => native.runProgram(image.data, 12, 9, 3, encodeProgram(program), part)).toThrow(message);
  });

  test('a value that is not a Uint8Array', () => {
    const data = new Float32Array(324) as unknown as Uint8Array;
    expect(() => runProgram({ ...image, data }, [])).toThrow(/expected a Uint8Array/);
  });
});
