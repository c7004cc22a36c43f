import { randomNormal } from 'd3-random';
import { InputError } from '../../base/errors.js';
import type { RandomStream } from '../../base/random.js';
import { type Colour, type Matrix, type PixelStep, rotateMatrix } from './pixels.js';
import { type ImageSize, roundHalfEven, type Transform } from './transform.js';

/** timm's RandAugment operations, with their weights in `w0`. */
const OPERATIONS = [
  ['AutoContrast', 0.025],
  ['Equalize', 0.005],
  ['Invert', 0],
  ['Rotate', 0.3],
  ['Posterize', 0],
  ['Solarize', 0.005],
  ['SolarizeAdd', 0.005],
  ['Color', 0.025],
  ['Contrast', 0.005],
  ['Brightness', 0.005],
  ['Sharpness', 0.025],
  ['ShearX', 0.2],
  ['ShearY', 0.2],
  ['TranslateXRel', 0.1],
  ['TranslateYRel', 0.1],
] as const;

/** Operations with a variant, selected by `inc1`, whose effect grows with the magnitude in each direction. */
const INCREASING = ['Posterize', 'Solarize', 'Color', 'Contrast', 'Brightness', 'Sharpness'] as const;

/** The operations by timm's names. */
export type OperationName = (typeof OPERATIONS)[number][0] | `${(typeof INCREASING)[number]}Increasing`;

/** The operations from which RandAugment draws, and how it draws them. */
export interface RandAugmentPolicy {
  /** Number of operations drawn per image; each is then applied with probability 0.5. */
  readonly layers: number;
  /** Mean and standard deviation of the magnitude, before it is clipped to 0 ... 10. */
  readonly magnitude: number;
  readonly magnitudeStd: number;
  readonly operations: readonly OperationName[];
  /** Weights of the operations, which are then drawn without replacement. Default: equal weights, with replacement. */
  readonly weights?: readonly number[];
}

/** The largest magnitude. */
export const MOST_MAGNITUDE = 10;

/** Parts of a policy: their valid values, and their descriptions for error messages. */
const PARTS = {
  m: { allowed: (x: number) => Number.isInteger(x) && x <= MOST_MAGNITUDE, meaning: 'm0 to m10 (magnitude)' },
  n: { allowed: (x: number) => Number.isInteger(x) && x > 0, meaning: 'n1 and up (operations per image)' },
  mstd: { allowed: () => true, meaning: 'mstd0.5 (standard deviation of the magnitude)' },
  inc: { allowed: (x: number) => x === 0 || x === 1, meaning: 'inc0 or inc1 (increasing)' },
  w: { allowed: (x: number) => x === 0, meaning: 'w0 (weighted choice)' },
};

/**
 * Parses a RandAugment policy in the syntax of timm 0.3.2, such as DeiT's `rand-m9-mstd0.5-inc1`. Defaults: m10, n2, mstd0,
 * inc0. Unlike timm, it rejects unknown parts, and it does not treat inc0 as inc1.
 *
 * @throws InputError naming the part that is unknown, out of range or repeated.
 */
export function parsePolicy(text: string): RandAugmentPolicy {
  const { m: magnitude = 10, n: layers = 2, mstd: magnitudeStd = 0, inc = 0, w } = partsOf(text);
  const operations = OPERATIONS.map(([name]) => (inc === 1 ? increasing(name) : name));
  const policy = { layers, magnitude, magnitudeStd, operations };
  if (w === undefined) return policy;

  const weights = OPERATIONS.map(([, weight]) => weight);
  const drawable = weights.filter((weight) => weight > 0).length;
  if (layers > drawable)
    throw refused(text, `w0 has only ${drawable} operations to choose from, not ${layers}`);
  return { ...policy, weights };
}

function partsOf(text: string): Partial<Record<keyof typeof PARTS, number>> {
  const [kind, ...parts] = text.split('-');
  if (kind !== 'rand') throw refused(text, `unknown policy ${JSON.stringify(kind)}`);
  const values: Partial<Record<keyof typeof PARTS, number>> = {};
  for (const part of parts) {
    const [, name = '', digits] = /^([a-z]+)(\d+(?:\.\d+)?)$/.exec(part) ?? [];
    if (!isPart(name)) throw refused(text, `unknown part ${JSON.stringify(part)}`);
    if (values[name] !== undefined) throw refused(text, `duplicate part ${name}`);
    if (!PARTS[name].allowed(Number(digits))) throw refused(text, `part ${part} is out of range`);
    values[name] = Number(digits);
  }
  return values;
}

function isPart(name: string): name is keyof typeof PARTS {
  return Object.hasOwn(PARTS, name);
}

function increasing(name: (typeof OPERATIONS)[number][0]): OperationName {
  const varied = INCREASING.find((each) => each === name);
  return varied === undefined ? name : `${varied}Increasing`;
}

function refused(text: string, why: string): InputError {
  const known = Object.values(PARTS).map(({ meaning }) => meaning);
  return new InputError(`auto-augment ${JSON.stringify(text)}: ${why}`, {
    hint: `Write rand, then any of ${known.join(', ')}, separated by -: rand-m9-mstd0.5-inc1.`,
  });
}

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

interface Setting {
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
