import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { digestOf, imageOf, type Kind } from '../../../test/pixel-images.js';
import { native } from '../../torch/native.js';
import { readSafetensors } from '../../weights/safetensors/safetensors.js';
import type { Image } from '../dataset.js';
import { type OperationName, operationStep } from './auto-augment.js';
import { encodeProgram, type PixelProgram } from './pixels.js';
import { runProgram } from './run-program.js';
import { evalTransform } from './transform.js';

type Size = [width: number, height: number, channels: 1 | 3];

function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../../test/fixtures/${name}`, import.meta.url), 'utf8'));
}

/** Made by test/fixtures/make-pil.py. */
const resizing = fixture<{
  resize: {
    size: Size;
    box: [number, number, number, number] | null;
    to: [number, number];
    pixels: string;
  }[];
  eval: { from_size: [number, number]; size: number; pixels: string }[];
}>('pil-resize.json');
/** Made by test/fixtures/make-pil-ops.py with Pillow 9.4. */
const operations = fixture<{
  cases: {
    image: [Kind, number, number];
    program: PixelProgram;
    size: [number, number];
    grey: string;
    rgb: string;
  }[];
  shrunk: { by: number; full: [number, number]; size: [number, number]; rgb: string }[];
}>('pil-ops.json');

describe('the same bytes as Pillow', () => {
  test.each(resizing.resize)('resize $size, box $box, to $to', ({ size, box, to, pixels }) => {
    const image = imageOf('noise', ...size);
    const [left, top, right, bottom] = box ?? [0, 0, image.width, image.height];
    const part = { left, top, width: right - left, height: bottom - top };
    const out = runProgram(image, [{ op: 'resize', box: part, width: to[0], height: to[1] }]);
    expect([out.width, out.height, out.channels]).toEqual([...to, size[2]]);
    expect(Buffer.from(out.data).toString('base64')).toBe(pixels);
  });

  test.each(resizing.eval)('evaluation at $size of an image of $from_size', ({ from_size, size, pixels }) => {
    const image = imageOf('noise', ...from_size, 3);
    const out = runProgram(image, evalTransform(size)(image));
    expect([out.width, out.height]).toEqual([size, size]);
    expect(Buffer.from(out.data).toString('base64')).toBe(pixels);
  });

  const nameOf = (program: PixelProgram) => program.map(({ op }) => op).join(', ');
  test.each(operations.cases.map((each) => [nameOf(each.program), ...each.image, each] as const))(
    '%s of %s, %i x %i',
    (_, ...[kind, width, height, { program, size, grey, rgb }]) => {
      for (const [channels, digest] of [
        [1, grey],
        [3, rgb],
      ] as const) {
        const out = runProgram(imageOf(kind, width, height, channels), program);
        expect([out.width, out.height, out.channels]).toEqual([...size, channels]);
        expect(digestOf(out)).toBe(digest);
      }
    },
  );

  test.each(operations.shrunk)('resize of an image shrunk by $by before', ({ by, full, size, rgb }) => {
    const [fullWidth, fullHeight] = full;
    const [toWidth, toHeight] = size;
    const [width, height] = full.map((side) => Math.ceil(side / by));
    const { data } = imageOf('noise', width, height, 3);
    const box = { left: 0, top: 0, width: fullWidth, height: fullHeight };
    const program = encodeProgram([{ op: 'resize', box, width: toWidth, height: toHeight, fast: true }]);
    const part = [0, 0, width * by, height * by, fullWidth, fullHeight] as const;
    expect(native.regionOf(program)).toEqual([0, 0, ...full, ...size]);
    expect(digestOf(native.runProgram(data, width, height, 3, program, part))).toBe(rgb);
  });
});

describe('RandAugment on the golden image', () => {
  const golden = fileURLToPath(new URL('../../../test/golden/g_randaug_ops.safetensors', import.meta.url));
  const { tensors } = readSafetensors(golden);
  const image: Image = { width: 32, height: 32, channels: 3, data: tensors.get('image')?.data as Uint8Array };
  /** Level and sign of each variant, by the table of RandAugment in timm. */
  const LEVELS: Record<string, readonly (readonly [level: number, sign: 1 | -1])[]> = {
    Rotate: [
      [9, 1],
      [9, -1],
      [8.5, 1],
    ],
    PosterizeIncreasing: [
      [9, 1],
      [5, 1],
      [10, 1],
    ],
    SolarizeIncreasing: [
      [9, 1],
      [8, 1],
      [10, 1],
    ],
    SolarizeAdd: [
      [9, 1],
      [8.5, 1],
      [10, 1],
    ],
  };
  const names = [...tensors.keys()].filter((name) => name !== 'image');

  test.each(names)('%s', (name) => {
    const [operation, variant] = name.split('.');
    const [level, sign] = LEVELS[operation]?.[Number(variant)] ?? [9, variant === '0' ? 1 : -1];
    const step = operationStep(operation as OperationName, {
      level,
      sign,
      size: image,
      fill: [124, 116, 104],
    });
    const { data } = runProgram(image, [step]);
    expect(Buffer.compare(data, tensors.get(name)?.data as Uint8Array)).toBe(0);
  });
});
