import type { Box } from '../dataset.js';

/**
 * One operation on the pixels of an image. It has the numbers that a transform has drawn at random. The addon
 * (native/image-*.cc) runs operations on its own threads, with results byte for byte the same as Pillow's.
 */
export type PixelStep =
  /**
   * Cuts out a box, which may extend over the edge. Pixels outside the image are zero; with cropReflected they mirror the
   * image, without repeating the pixel at the edge (numpy's `pad` with mode reflect).
   */
  | { readonly op: 'crop' | 'cropReflected'; readonly box: Box }
  /**
   * Resizes a box, bicubic with antialiasing (Pillow's `resize`). `fast`: a JPEG may be decoded at a half, a quarter or an
   * eighth of its size if the result is still smaller; this differs slightly from Pillow.
   */
  | {
      readonly op: 'resize';
      readonly box: Box;
      readonly width: number;
      readonly height: number;
      readonly fast?: boolean;
    }
  /** Mirrors left to right. */
  | { readonly op: 'flip' }
  /** Turns an image upright, from EXIF orientation 1 (already upright) to 8 (Pillow's `ImageOps.exif_transpose`). */
  | { readonly op: 'orient'; readonly orientation: number }
  /** output(x, y) = input(a x + b y + c, d x + e y + f), bicubic, pixel centres at +0.5; `fill` outside. */
  | { readonly op: 'affine'; readonly matrix: Matrix; readonly fill: Colour }
  | { readonly op: 'autocontrast' | 'equalize' | 'invert' }
  | { readonly op: 'posterize'; readonly bits: number }
  /** Inverts pixels of at least `threshold`. */
  | { readonly op: 'solarize'; readonly threshold: number }
  /** Adds to pixels below `threshold`, up to 255. */
  | { readonly op: 'solarizeAdd'; readonly add: number; readonly threshold: number }
  /** Pillow's ImageFilter.GaussianBlur, 0 to 1000. */
  | { readonly op: 'gaussianBlur'; readonly radius: number }
  /** Pillow's ImageEnhance. */
  | { readonly op: 'color' | 'contrast' | 'brightness' | 'sharpness'; readonly factor: number };

export type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];
export type Colour = readonly [red: number, green: number, blue: number];

/** The operations on one image, in order. */
export type PixelProgram = readonly PixelStep[];

/** Opcodes of native/image-program.h, in the same order. */
const OPCODES = [
  'crop',
  'resize',
  'flip',
  'affine',
  'autocontrast',
  'equalize',
  'invert',
  'posterize',
  'solarize',
  'solarizeAdd',
  'color',
  'contrast',
  'brightness',
  'sharpness',
  'orient',
  'cropReflected',
  'gaussianBlur',
] as const satisfies readonly PixelStep['op'][];

/** Encodes a program for the addon: opcode and operands of each step, in order. */
export function encodeProgram(program: PixelProgram): Float64Array {
  return Float64Array.from(program.flatMap((step) => [OPCODES.indexOf(step.op), ...operandsOf(step)]));
}

function operandsOf(step: PixelStep): readonly number[] {
  switch (step.op) {
    case 'crop':
    case 'cropReflected':
      return numbersOf(step.box);
    case 'resize':
      return [...numbersOf(step.box), step.width, step.height, step.fast ? 1 : 0];
    case 'affine':
      return [...step.matrix, ...step.fill];
    case 'orient':
      return [step.orientation];
    case 'gaussianBlur':
      return [step.radius];
    case 'posterize':
      return [step.bits];
    case 'solarize':
      return [step.threshold];
    case 'solarizeAdd':
      return [step.add, step.threshold];
    case 'color':
    case 'contrast':
    case 'brightness':
    case 'sharpness':
      return [step.factor];
    default:
      return [];
  }
}

function numbersOf({ left, top, width, height }: Box): number[] {
  return [left, top, width, height];
}

/**
 * The matrix of Pillow's `Image.rotate(degrees)`: about the centre, counter-clockwise, with the image's size unchanged.
 * Multiples of 90 degrees, which Pillow handles separately, become exact moves of whole pixels.
 */
export function rotateMatrix(degrees: number, width: number, height: number): Matrix {
  const rest = degrees % 360;
  const angle = -((rest < 0 ? rest + 360 : rest) * (Math.PI / 180));
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)].map((x) => Number(x.toFixed(15)));
  const [x, y] = [width / 2, height / 2];
  return [cos, sin, cos * -x + sin * -y + x, -sin, cos, -sin * -x + cos * -y + y];
}
