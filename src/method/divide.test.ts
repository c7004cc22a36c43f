import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InputError } from '../base/errors.js';
import { divide, metaDepths } from './divide.js';
import { hybridDepths, hybridRegimes } from './hybrid.js';

const sum = (parts: readonly number[]) => parts.reduce((a, b) => a + b, 0);
const parts = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 });

function refusal(depth: number, into: Parameters<typeof divide>[1]): InputError {
  try {
    divide(depth, into);
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    return error as InputError;
  }
  throw new Error(`divide(${depth}, ${JSON.stringify(into)}) was not refused`);
}

describe('divide', () => {
  test('evenly: the requested number of modules, all equal, all blocks used', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 12 }), (modules, each) => {
        expect(divide(modules * each, { modules })).toEqual(Array.from({ length: modules }, () => each));
      }),
    );
    expect(divide(12, { modules: 4 })).toEqual([3, 3, 3, 3]);
  });

  test('given depths are copied', () => {
    fc.assert(
      fc.property(parts, (depths) => {
        const divided = divide(sum(depths), { depths });
        expect(divided).toEqual(depths);
        expect(divided).not.toBe(depths);
      }),
    );
  });

  test('an uneven division is refused with a list of even ones', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 1, max: 60 }), (depth, modules) => {
        fc.pre(depth % modules !== 0);
        const { message, hint } = refusal(depth, { modules });
        expect(message).toBe(`${modules} modules do not divide ${depth} blocks evenly`);
        const offered =
          /one of ([\d, ]+), or set/
            .exec(hint ?? '')?.[1]
            .split(', ')
            .map(Number) ?? [];
        expect(offered[0]).toBe(1);
        expect(offered.at(-1)).toBe(depth);
        for (const possible of offered) expect(sum(divide(depth, { modules: possible }))).toBe(depth);
      }),
    );
    for (const modules of [0, -2, 2.5, Number.NaN]) refusal(10, { modules });
  });

  test('depths that do not add up, or hold no block, are refused', () => {
    fc.assert(
      fc.property(parts, fc.integer({ min: 1, max: 200 }), (depths, depth) => {
        fc.pre(sum(depths) !== depth);
        expect(refusal(depth, { depths }).message).toBe(
          `incubation.depths [${depths.join(', ')}] add up to ${sum(depths)}, but the model has ${depth} blocks`,
        );
      }),
    );
    for (const depths of [
      [0, 4],
      [-1, 5],
      [1.5, 2.5],
      [Number.NaN, 4],
    ]) {
      expect(refusal(4, { depths }).message).toContain('every entry must be a number of blocks');
    }
    expect(refusal(4, { depths: [] }).message).toContain('add up to 0, but the model has 4 blocks');
  });
});

test('the meta model has a stage for every module, with one block or the given number', () => {
  expect(metaDepths(4)).toEqual([1, 1, 1, 1]);
  expect(metaDepths(3, 2)).toEqual([2, 2, 2]);
});

test.each([
  [0, 1],
  [-1, 1],
  [1.5, 1],
  [Number.NaN, 1],
  [2, 0],
])('a meta model of %d stages of %d blocks is refused', (modules, depth) => {
  expect(() => metaDepths(modules, depth)).toThrow(InputError);
});

test.each([0, -4, Number.NaN])('a model of %d blocks is not divided', (depth) => {
  expect(() => divide(depth, { modules: 1 })).toThrow(InputError);
});

test('a hybrid is the meta model with one stage replaced, everything else frozen', () => {
  fc.assert(
    fc.property(parts, fc.nat(), fc.integer({ min: 1, max: 3 }), (target, at, metaDepth) => {
      const index = at % target.length;
      const meta = metaDepths(target.length, metaDepth);
      const depths = hybridDepths(target, meta, index);
      expect(depths[index]).toBe(target[index]);
      expect(depths.filter((_, i) => i !== index)).toEqual(meta.slice(1));
      const regimes = hybridRegimes(target.length, index);
      expect(regimes.filter((regime) => regime === 'trained')).toHaveLength(1);
      expect(regimes.indexOf('trained')).toBe(index);
      expect(regimes.slice(0, index).every((regime) => regime === 'prefix')).toBe(true);
      expect(regimes.slice(index + 1).every((regime) => regime === 'suffix')).toBe(true);
    }),
  );
});
