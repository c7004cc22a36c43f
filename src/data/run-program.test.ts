import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readSafetensors } from '../checkpoint/safetensors.js';
import { operationStep } from './auto-augment.js';
import type { OperationName } from './auto-augment-policy.js';
import type { Box, Image } from './dataset.js';
import type { PixelStep } from './pixels.js';
import { runProgram } from './run-program.js';
import { evalTransform } from './transform.js';

type Size = [width: number, height: number, channels: 1 | 3];

function fixture<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../../test/fixtures/${name}`, import.meta.url), 'utf8'));
}

/** Made by test/fixtures/make-pil.py and make-pil-ops.py, whose images have the same pixels. */
const resizing = fixture<{
  resize: {
    size: Size;
    box: [number, number, number, number] | null;
    to: [number, number];
    pixels: string;
  }[];
  eval: { from_size: [number, number]; size: number; pixels: string }[];
}>('pil-resize.json');
const operations = fixture<{ cases: { image: string; size: Size; step: PixelStep; digest: string }[] }>(
  'pil-ops.json',
).cases;

function imageOf([width, height, channels]: Size, pixel: (i: number) => number): Image {
  return {
    width,
    height,
    channels,
    data: Uint8Array.from({ length: width * height * channels }, (_, i) => pixel(i)),
  };
}

const noiseImage = (size: Size) => imageOf(size, (i) => (i * 7919 + ((i * i) % 251)) % 256);

const IMAGES: Record<string, (size: Size) => Image> = {
  noise: noiseImage,
  gradient: (size) =>
    imageOf(size, (i) => 40 + (Math.floor(Math.floor(i / size[2]) / 7) % 90) + 20 * (i % size[2])),
  flat: (size) => imageOf(size, () => 77),
};

function whole({ width, height }: Image): Box {
  return { left: 0, top: 0, width, height };
}

describe('the same bytes as Pillow', () => {
  test.each(resizing.resize)('resize $size, box $box, to $to', ({ size, box, to, pixels }) => {
    const image = noiseImage(size);
    const part = box
      ? { left: box[0], top: box[1], width: box[2] - box[0], height: box[3] - box[1] }
      : whole(image);
    const out = runProgram(image, [{ op: 'resize', box: part, width: to[0], height: to[1] }]);
    expect([out.width, out.height, out.channels]).toEqual([...to, size[2]]);
    expect(Buffer.from(out.data).toString('base64')).toBe(pixels);
  });

  test.each(resizing.eval)('evaluation at $size of an image of $from_size', ({ from_size, size, pixels }) => {
    const image = noiseImage([...from_size, 3]);
    const out = runProgram(image, evalTransform(size)(image));
    expect([out.width, out.height]).toEqual([size, size]);
    expect(Buffer.from(out.data).toString('base64')).toBe(pixels);
  });

  test.each([...new Set(operations.map(({ step }) => step.op))])('%s', (op) => {
    const cases = operations.filter(({ step }) => step.op === op);
    expect(cases.length).toBeGreaterThan(5);
    for (const { image, size, step, digest } of cases) {
      const { data } = runProgram(IMAGES[image](size), [step]);
      const found = createHash('sha256').update(data).digest('hex').slice(0, 16);
      expect({ image, size, step, digest: found }).toEqual({ image, size, step, digest });
    }
  });
});

describe('RandAugment on the golden image', () => {
  const golden = fileURLToPath(new URL('../../test/golden/g_randaug_ops.safetensors', import.meta.url));
  const { tensors } = readSafetensors(golden);
  const image: Image = { width: 32, height: 32, channels: 3, data: tensors.get('image')?.data as Uint8Array };
  /** Level and sign of each variant, by the table in spec/details.md. */
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

const side = fc.integer({ min: 1, max: 40 });

test('an image of one colour keeps it at any size', () => {
  fc.assert(
    fc.property(side, side, side, side, fc.nat(255), (width, height, toWidth, toHeight, colour) => {
      const flat = imageOf([width, height, 1], () => colour);
      const step = { op: 'resize', box: whole(flat), width: toWidth, height: toHeight } as const;
      expect(runProgram(flat, [step]).data).toEqual(new Uint8Array(toWidth * toHeight).fill(colour));
    }),
  );
});

test('at the same size nothing changes, and mirrored twice neither', () => {
  fc.assert(
    fc.property(side, side, fc.constantFrom(1 as const, 3 as const), (width, height, channels) => {
      const image = noiseImage([width, height, channels]);
      expect(runProgram(image, [{ op: 'resize', box: whole(image), width, height }])).toEqual(image);
      expect(runProgram(image, [{ op: 'flip' }, { op: 'flip' }])).toEqual(image);
      expect(runProgram(image, [])).toEqual(image);
    }),
  );
});

test('a crop may reach over the edge, and has zeros there', () => {
  const image = imageOf([2, 2, 1], (i) => i + 1);
  const box = { left: -1, top: -1, width: 3, height: 4 };
  const { data } = runProgram(image, [{ op: 'crop', box }]);
  expect([...data]).toEqual([0, 0, 0, 0, 1, 2, 0, 3, 4, 0, 0, 0]);
});

test('what does not fit the image is refused', () => {
  const image = noiseImage([4, 4, 3]);
  const box = { left: 2, top: 0, width: 4, height: 4 };
  expect(() => runProgram(image, [{ op: 'resize', box, width: 2, height: 2 }])).toThrow();
  expect(() => runProgram(image, [{ op: 'crop', box: { ...box, width: 0 } }])).toThrow();
  expect(() => runProgram({ ...image, width: 5 }, [])).toThrow();
});
