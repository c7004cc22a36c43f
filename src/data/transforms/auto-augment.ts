import { randomNormal } from 'd3-random';
import type { RandomStream } from '../../base/random.js';
import type { OperationName, RandAugmentPolicy } from './auto-augment-policy.js';
import type { Colour, Matrix, PixelStep } from './pixels.js';
import { rotateMatrix } from './pixels.js';
import { type ImageSize, roundHalfEven, type Transform } from './transform.js';

/**
 * RandAugment (Cubuk et al. 2019, arXiv 1909.13719) as in timm 0.3.2 for DeiT: draws `layers` operations and applies each with
 * probability 0.5, at a separately drawn magnitude.
 *
 * @param mean mean of each channel, in 0 ... 1: the colour of areas that a geometric operation moves into the image.
 */
export function randAugment(policy: RandAugmentPolicy, mean: readonly number[]): Transform {
  const { operations, magnitude, magnitudeStd } = policy;
  const fill = meanColour(mean);
  return (size, random) => {
    const normal = randomNormal.source(random.uniform)(magnitude, magnitudeStd);
    const program: PixelStep[] = [];
    for (const chosen of choose(policy, random)) {
      if (random.uniform() >= 0.5) continue;
      const level = Math.min(Math.max(normal(), 0), MAX_LEVEL);
      const sign = random.uniform() < 0.5 ? 1 : -1;
      program.push(operationStep(operations[chosen], { level, sign, size, fill }));
    }
    return program;
  };
}

const MAX_LEVEL = 10;

export interface Setting {
  /** Magnitude, 0 ... 10. */
  readonly level: number;
  /** Direction, for operations that have two. */
  readonly sign: 1 | -1;
  readonly size: ImageSize;
  readonly fill: Colour;
}

/** The pixel step of an operation at a setting: timm's LEVEL_TO_ARG and NAME_TO_OP. */
export function operationStep(name: OperationName, setting: Setting): PixelStep {
  return STEPS[name](setting);
}

const STEPS: Record<OperationName, (setting: Setting) => PixelStep> = {
  AutoContrast: () => ({ op: 'autocontrast' }),
  Equalize: () => ({ op: 'equalize' }),
  Invert: () => ({ op: 'invert' }),
  Rotate: (at) => affine(rotateMatrix(signed(at, 30), at.size.width, at.size.height), at),
  Posterize: (at) => ({ op: 'posterize', bits: whole(at, 4) }),
  PosterizeIncreasing: (at) => ({ op: 'posterize', bits: 4 - whole(at, 4) }),
  Solarize: (at) => ({ op: 'solarize', threshold: whole(at, 256) }),
  SolarizeIncreasing: (at) => ({ op: 'solarize', threshold: 256 - whole(at, 256) }),
  SolarizeAdd: (at) => ({ op: 'solarizeAdd', add: whole(at, 110), threshold: 128 }),
  Color: (at) => ({ op: 'color', factor: factor(at) }),
  ColorIncreasing: (at) => ({ op: 'color', factor: 1 + signed(at, 0.9) }),
  Contrast: (at) => ({ op: 'contrast', factor: factor(at) }),
  ContrastIncreasing: (at) => ({ op: 'contrast', factor: 1 + signed(at, 0.9) }),
  Brightness: (at) => ({ op: 'brightness', factor: factor(at) }),
  BrightnessIncreasing: (at) => ({ op: 'brightness', factor: 1 + signed(at, 0.9) }),
  Sharpness: (at) => ({ op: 'sharpness', factor: factor(at) }),
  SharpnessIncreasing: (at) => ({ op: 'sharpness', factor: 1 + signed(at, 0.9) }),
  ShearX: (at) => affine([1, signed(at, 0.3), 0, 0, 1, 0], at),
  ShearY: (at) => affine([1, 0, 0, signed(at, 0.3), 1, 0], at),
  TranslateXRel: (at) => affine([1, 0, signed(at, 0.45) * at.size.width, 0, 1, 0], at),
  TranslateYRel: (at) => affine([1, 0, 0, 0, 1, signed(at, 0.45) * at.size.height], at),
};

function signed({ level, sign }: Setting, most: number): number {
  return sign * ((level / MAX_LEVEL) * most);
}

function whole({ level }: Setting, most: number): number {
  return Math.trunc((level / MAX_LEVEL) * most);
}

/** 0.1 ... 1.9: reduces below level 5, enhances above it. */
function factor({ level }: Setting): number {
  return (level / MAX_LEVEL) * 1.8 + 0.1;
}

function affine(matrix: Matrix, { size, fill }: Setting): PixelStep {
  return { op: 'affine', matrix, fill: size.channels === 1 ? greyOf(fill) : fill };
}

/** Draws operations, as indices into the policy. */
function choose({ operations, layers, weights }: RandAugmentPolicy, random: RandomStream): number[] {
  const left = weights === undefined ? undefined : [...weights];
  return Array.from({ length: layers }, () => {
    if (left === undefined) return random.integer(0, operations.length - 1);
    const chosen = weightedPlace(left, random.uniform());
    left[chosen] = 0;
    return chosen;
  });
}

function weightedPlace(weights: readonly number[], share: number): number {
  let rest = share * weights.reduce((sum, weight) => sum + weight, 0);
  const place = weights.findIndex((weight) => {
    rest -= weight;
    return rest < 0;
  });
  // Rounding may leave a small rest after the last weight.
  return place < 0 ? weights.findLastIndex((weight) => weight > 0) : place;
}

/** The mean colour in 8 bits, rounded as in timm: ImageNet's is (124, 116, 104). */
function meanColour(mean: readonly number[]): Colour {
  const [red, green = red, blue = red] = mean.map((share) => Math.min(255, roundHalfEven(255 * share)));
  return [red, green, blue];
}

/** Pillow's grey value of a colour, for all three channels. */
function greyOf([red, green, blue]: Colour): Colour {
  const grey = (19595 * red + 38470 * green + 7471 * blue + 0x8000) >> 16;
  return [grey, grey, grey];
}
