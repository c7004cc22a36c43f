import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { digestOf, imageOf } from '../../../test/pixel-images.js';
import type { Matrix } from './pixels.js';
import { rotateMatrix } from './pixels.js';
import { runProgram } from './run-program.js';

interface Rotation {
  degrees: number;
  size: [number, number];
  /** Null where Pillow moves whole pixels without one. */
  matrix: Matrix | null;
  rgb: string;
}

/** Made by test/fixtures/make-pil-ops.py with Pillow 9.4. */
const { rotations }: { rotations: Rotation[] } = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/pil-ops.json', import.meta.url), 'utf8'),
);

/** 0 for -0. */
const unsigned = (matrix: Matrix) => matrix.map((x) => x + 0);

test.each(rotations)(
  'rotation by $degrees degrees of $size is that of Pillow',
  ({ degrees, size, matrix, rgb }) => {
    const found = rotateMatrix(degrees, ...size);
    if (matrix !== null) expect(unsigned(found)).toEqual(unsigned(matrix));
    const image = imageOf('noise', ...size, 3);
    const turned = runProgram(image, [{ op: 'affine', matrix: found, fill: [124, 116, 104] }]);
    expect(digestOf(turned)).toBe(rgb);
  },
);
