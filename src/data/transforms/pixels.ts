import type { Box } from '../dataset.js';

/**
 * One operation on the pixels of an image. What a transform draws at random it puts into numbers here; the addon
 * (native/image-*.cc) executes them on its own threads, each byte for byte as Pillow does.
 */
export type PixelStep =
  /** The part in a box, which may reach over the edge: what is outside is zero. */
  | { readonly op: 'crop'; readonly box: Box }
  /**
   * The part in a box, bicubic with antialiasing (Pillow's `resize`). `fast`: a JPEG may be decoded at a half,
   * a quarter or an eighth of its size where the result is still smaller, which differs from Pillow by a little.
   */
  | {
      readonly op: 'resize';
      readonly box: Box;
      readonly width: number;
      readonly height: number;
      readonly fast?: boolean;
    }
  /** Left to right. */
  | { readonly op: 'flip' }
  /** Upright, by EXIF's orientation from 1 (it is) to 8 (Pillow's `ImageOps.exif_transpose`). */
  | { readonly op: 'orient'; readonly orientation: number }
  /** output(x, y) = input(a x + b y + c, d x + e y + f), bicubic, pixel centres at +0.5; `fill` outside. */
  | { readonly op: 'affine'; readonly matrix: Matrix; readonly fill: Colour }
  | { readonly op: 'autocontrast' | 'equalize' | 'invert' }
  | { readonly op: 'posterize'; readonly bits: number }
  /** Inverts pixels of at least `threshold`. */
  | { readonly op: 'solarize'; readonly threshold: number }
  /** Adds to pixels below `threshold`, up to 255. */
  | { readonly op: 'solarizeAdd'; readonly add: number; readonly threshold: number }
  /** Pillow's ImageEnhance. */
  | { readonly op: 'color' | 'contrast' | 'brightness' | 'sharpness'; readonly factor: number };

export type Matrix = readonly [a: number, b: number, c: number, d: number, e: number, f: number];
export type Colour = readonly [red: number, green: number, blue: number];

/** What is done to one image, first to last. */
export type PixelProgram = readonly PixelStep[];

/** Opcodes of native/image-program.h, in its order. */
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
] as const satisfies readonly PixelStep['op'][];

/** A program as the addon takes it: opcode and operands of each step, one after another. */
export function encodeProgram(program: PixelProgram): Float64Array {
  return Float64Array.from(program.flatMap((step) => [OPCODES.indexOf(step.op), ...operandsOf(step)]));
}

function operandsOf(step: PixelStep): readonly number[] {
  switch (step.op) {
    case 'crop':
      return numbersOf(step.box);
    case 'resize':
      return [...numbersOf(step.box), step.width, step.height, step.fast ? 1 : 0];
    case 'affine':
      return [...step.matrix, ...step.fill];
    case 'orient':
      return [step.orientation];
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
