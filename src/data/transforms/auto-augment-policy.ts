import { InputError } from '../../base/errors.js';

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
