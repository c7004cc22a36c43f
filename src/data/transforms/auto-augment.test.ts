import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { CHI_SQUARED_LIMIT, chiSquared, countsOf } from '../../../test/statistics.js';
import { randomStream } from '../../base/random.js';
import { type OperationName, operationStep, parsePolicy, randAugment } from './auto-augment.js';
import { type Colour, type PixelProgram, type PixelStep, rotateMatrix } from './pixels.js';
import type { ImageSize } from './transform.js';

interface Golden {
  hparams: { img_mean: Colour };
  ops: { name: OperationName; prob: number; kwargs: { fillcolor: Colour } }[];
  level_to_arg: Record<OperationName, Record<string, number[]>>;
}
interface Fixture {
  arguments: Record<OperationName, { level: number; plus: number; minus: number }[]>;
  matrices: { name: OperationName; size: [number, number]; level: number; sign: 1 | -1; matrix: number[] }[];
}

const read = (path: string) =>
  JSON.parse(readFileSync(new URL(`../../../test/${path}`, import.meta.url), 'utf8'));
const golden: Golden = read('golden/g_aug.json').randaug;
/** Made by test/fixtures/make-randaug.py with timm 0.3.2. */
const fixture: Fixture = read('fixtures/randaug.json');

const IMAGENET = [0.485, 0.456, 0.406];
const FILL: Colour = [124, 116, 104];
const SIZE: ImageSize = { width: 40, height: 30, channels: 3 };

function stepAt(name: OperationName, level: number, sign: 1 | -1 = 1, size = SIZE): PixelStep {
  return operationStep(name, { level, sign, size, fill: FILL });
}

/** timm's argument of an operation, taken back from the step. */
function argumentOf(name: OperationName, level: number, sign: 1 | -1): number {
  const step = stepAt(name, level, sign);
  switch (step.op) {
    case 'posterize':
      return step.bits;
    case 'solarize':
      return step.threshold;
    case 'solarizeAdd':
      return step.add;
    case 'color':
    case 'contrast':
    case 'brightness':
    case 'sharpness':
      return step.factor;
    case 'affine':
      if (name === 'ShearX') return step.matrix[1];
      if (name === 'ShearY') return step.matrix[3];
      if (name === 'TranslateXRel') return step.matrix[2] / SIZE.width;
      if (name === 'TranslateYRel') return step.matrix[5] / SIZE.height;
      return (Math.asin(-step.matrix[1]) * 180) / Math.PI;
  }
  throw new Error(`${name} has no argument`);
}

/** Exact, but for what `argumentOf` computes back. */
const digitsOf = (name: OperationName) => (/Rotate|Translate/.test(name) ? 12 : 16);

describe('operations at their magnitudes', () => {
  test('the golden case: arguments of the increasing set', () => {
    for (const { name } of golden.ops) {
      for (const [level, expected] of Object.entries(golden.level_to_arg[name])) {
        const found = [-1, 1].map((sign) => argumentOf(name, Number(level), sign as 1 | -1));
        const [low, high] = [Math.min(...expected), Math.max(...expected)];
        expect(Math.min(...found)).toBeCloseTo(low, digitsOf(name));
        expect(Math.max(...found)).toBeCloseTo(high, digitsOf(name));
      }
    }
  });

  test.each(Object.keys(fixture.arguments) as OperationName[])('timm: arguments of %s', (name) => {
    for (const { level, plus, minus } of fixture.arguments[name]) {
      expect(argumentOf(name, level, 1)).toBeCloseTo(plus, digitsOf(name));
      expect(argumentOf(name, level, -1)).toBeCloseTo(minus, digitsOf(name));
    }
  });

  test("timm: the matrices that reach Pillow's transform", () => {
    for (const { name, size, level, sign, matrix } of fixture.matrices) {
      const [width, height] = size;
      const step = stepAt(name, level, sign, { width, height, channels: 3 });
      expect(step).toMatchObject({ op: 'affine', fill: FILL });
      if (step.op !== 'affine') return;
      step.matrix.forEach((x, i) => {
        expect(x).toBeCloseTo(matrix[i], 12);
      });
    }
  });

  test('the golden case: operations that ignore the magnitude', () => {
    const steps = (['AutoContrast', 'Equalize', 'Invert'] as const).map((name) => stepAt(name, 3));
    expect(steps).toEqual([{ op: 'autocontrast' }, { op: 'equalize' }, { op: 'invert' }]);
    expect(golden.level_to_arg.Invert).toEqual({});
  });

  test('SolarizeAdd leaves pixels from 128 on', () => {
    expect(stepAt('SolarizeAdd', 9)).toEqual({ op: 'solarizeAdd', add: 99, threshold: 128 });
  });
});

function programs(policy: string, count: number, size = SIZE, mean = IMAGENET): PixelProgram[] {
  const transform = randAugment(parsePolicy(policy), mean);
  return Array.from({ length: count }, (_, i) => transform(size, randomStream([i])));
}

/** The operation of a step of the increasing or the plain set. */
function kindOf(step: PixelStep): string {
  if (step.op !== 'affine') return step.op;
  const [, b, c, d, , f] = step.matrix;
  if (b !== 0 && d !== 0) return 'rotate';
  if (b !== 0) return 'shearX';
  if (d !== 0) return 'shearY';
  return c !== 0 || f === 0 ? 'translateX' : 'translateY';
}

/** In the order of the policy. */
const KINDS = [
  ...['autocontrast', 'equalize', 'invert', 'rotate', 'posterize', 'solarize', 'solarizeAdd', 'color'],
  ...['contrast', 'brightness', 'sharpness', 'shearX', 'shearY', 'translateX', 'translateY'],
];

describe('the draws of rand-m9-mstd0.5-inc1', () => {
  const drawn = programs('rand-m9-mstd0.5-inc1', 20_000);
  const steps = drawn.flat();
  const affine = steps.flatMap((step) => (step.op === 'affine' ? [step] : []));
  /** 1 + sign * 0.09 level */
  const factors = steps.flatMap((step) => ('factor' in step ? [step.factor] : []));
  const levels = factors.map((factor) => Math.abs(factor - 1) / 0.09);

  test('each operation is equally likely', () => {
    const counts = countsOf(KINDS, steps.map(kindOf));
    expect(chiSquared(counts, new Array(15).fill(1 / 15))).toBeLessThan(CHI_SQUARED_LIMIT[14]);
  });

  test('two are drawn, and each is applied to half of the images, independently', () => {
    const lengths = countsOf(
      [0, 1, 2],
      drawn.map(({ length }) => length),
    );
    expect(chiSquared(lengths, [1 / 4, 1 / 2, 1 / 4])).toBeLessThan(CHI_SQUARED_LIMIT[2]);
  });

  test('with replacement: a fifteenth of the pairs are twins', () => {
    const pairs = drawn.filter(({ length }) => length === 2);
    const twins = pairs.map(([first, second]) => kindOf(first) === kindOf(second));
    const counts = countsOf([true, false], twins);
    expect(chiSquared(counts, [1 / 15, 14 / 15])).toBeLessThan(CHI_SQUARED_LIMIT[1]);
  });

  test('magnitudes are N(9, 0.5), those above 10 are 10', () => {
    const bins = levels.map((level) =>
      level > 9.999_999 ? 5 : [8, 8.5, 9, 9.5].filter((edge) => level >= edge).length,
    );
    // Of a normal variable beyond -2, -1, 0, 1, 2 standard deviations.
    const shares = [0.02275, 0.13591, 0.34134, 0.34134, 0.13591, 0.02275];
    expect(chiSquared(countsOf([0, 1, 2, 3, 4, 5], bins), shares)).toBeLessThan(CHI_SQUARED_LIMIT[5]);
    expect(Math.max(...levels)).toBeCloseTo(10, 12);
    expect(Math.min(...levels)).toBeLessThan(7.5);

    // Of the clipped variable, from the normal density and distribution at 2.
    const mean = levels.reduce((sum, level) => sum + level, 0) / levels.length;
    const variance = levels.reduce((sum, level) => sum + (level - mean) ** 2, 0) / levels.length;
    expect(Math.abs(mean - 8.99575)).toBeLessThan((3.3 * 0.48995) / Math.sqrt(levels.length));
    expect(Math.abs(Math.sqrt(variance) - 0.48995)).toBeLessThan(
      (3.3 * 0.48995) / Math.sqrt(2 * levels.length),
    );
  });

  test('each step has its own magnitude', () => {
    const twins = drawn.flatMap(([first, second]) =>
      first && second && 'factor' in first && 'factor' in second ? [[first.factor, second.factor]] : [],
    );
    expect(twins.length).toBeGreaterThan(200);
    for (const [a, b] of twins) {
      if (Math.abs(a - 1) < 0.8999 || Math.abs(b - 1) < 0.8999) {
        expect(Math.abs(a - 1)).not.toBeCloseTo(Math.abs(b - 1), 9);
      }
    }
  });

  test.each<[string, boolean[]]>([
    ['factors', factors.map((factor) => factor > 1)],
    ['rotations', signsOf('rotate', 1)],
    ['horizontal shears', signsOf('shearX', 1)],
    ['vertical shears', signsOf('shearY', 3)],
    ['horizontal shifts', signsOf('translateX', 2)],
    ['vertical shifts', signsOf('translateY', 5)],
  ])('%s: both directions are equally likely', (_, signs) => {
    expect(signs.length).toBeGreaterThan(1000);
    expect(chiSquared(countsOf([true, false], signs), [1 / 2, 1 / 2])).toBeLessThan(CHI_SQUARED_LIMIT[1]);
  });

  function signsOf(kind: string, at: number): boolean[] {
    return affine.filter((step) => kindOf(step) === kind).map(({ matrix }) => matrix[at] > 0);
  }

  test('the fill colour is that of the golden case', () => {
    expect(golden.hparams.img_mean).toEqual(FILL);
    for (const { fill } of affine) expect(fill).toEqual(FILL);
  });
});

describe('other policies', () => {
  test('plain: a fixed magnitude, factors and thresholds that have one direction', () => {
    const steps = programs('rand-m4-n1', 2000).flat();
    const settled = new Map(steps.map((step) => [kindOf(step), step]));
    expect(settled.get('posterize')).toEqual({ op: 'posterize', bits: 1 });
    expect(settled.get('solarize')).toEqual({ op: 'solarize', threshold: 102 });
    for (const step of steps) if ('factor' in step) expect(step.factor).toBeCloseTo(0.82, 12);
    const turned = steps.filter((step) => kindOf(step) === 'rotate');
    expect(turned.length).toBeGreaterThan(20);
    const ways = new Set(turned.map((step) => JSON.stringify(step.op === 'affine' && step.matrix)));
    expect(ways).toEqual(new Set([12, -12].map((degrees) => JSON.stringify(rotateMatrix(degrees, 40, 30)))));
  });

  test('n draws', () => {
    const most = Math.max(...programs('rand-n5', 500).map(({ length }) => length));
    expect(most).toBe(5);
  });

  test('magnitudes are clipped at both ends', () => {
    const factors = programs('rand-m1-mstd30-inc1', 500).flatMap((program) =>
      program.flatMap((step) => ('factor' in step ? [step.factor] : [])),
    );
    expect(Math.max(...factors)).toBe(1.9);
    expect(Math.min(...factors)).toBeCloseTo(0.1, 15);
    expect(factors).toContain(1);
  });

  test('w0: by weight, without replacement', () => {
    const drawn = programs('rand-m5-w0-n2', 20_000);
    const weights = parsePolicy('rand-w0').weights as number[];
    for (const program of drawn) expect(new Set(program.map(kindOf)).size).toBe(program.length);
    // Of a draw of two without replacement, the share of each operation among both.
    const shares = weights.map((weight, i) => {
      const others = weights.filter((_, j) => j !== i);
      return (weight + others.reduce((sum, other) => sum + (other * weight) / (1 - other), 0)) / 2;
    });
    const never = KINDS.filter((_, i) => weights[i] === 0);
    expect(never).toEqual(['invert', 'posterize']);
    const kept = KINDS.filter((kind) => !never.includes(kind));
    const counts = countsOf(kept, drawn.flat().map(kindOf));
    const keptShares = shares.filter((share) => share > 0);
    expect(chiSquared(counts, keptShares)).toBeLessThan(CHI_SQUARED_LIMIT[12]);
  });

  test('w0 with as many draws as operations draws all of them', () => {
    const drawn = programs('rand-w0-n13', 300);
    for (const program of drawn) expect(new Set(program.map(kindOf)).size).toBe(program.length);
    expect(new Set(drawn.flat().map(kindOf)).size).toBe(13);
  });
});

test.each<[string, number[], 1 | 3, Colour]>([
  ['ties go to even, as in Python', [0.1, 0.3, 0.5], 3, [26, 76, 128]],
  ['one mean is for all channels', [0.2], 3, [51, 51, 51]],
  ['values above white are clipped', [1.2, 1, 0], 3, [255, 255, 0]],
  ["a grey image gets the colour's grey", IMAGENET, 1, [117, 117, 117]],
])('fill: %s', (_, mean, channels, fill) => {
  const steps = programs('rand-n3', 100, { ...SIZE, channels }, mean).flat();
  const fills = steps.flatMap((step) => (step.op === 'affine' ? [step.fill] : []));
  expect(new Set(fills.map(String))).toEqual(new Set([String(fill)]));
});

test('a program depends only on the key', () => {
  expect(programs('rand-m9-mstd0.5-inc1', 50)).toEqual(programs('rand-m9-mstd0.5-inc1', 50));
});
