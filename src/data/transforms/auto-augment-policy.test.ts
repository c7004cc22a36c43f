import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { InputError } from '../../base/errors.js';
import { parsePolicy } from './auto-augment.js';

interface Fixture {
  policies: {
    policy: string;
    layers: number;
    magnitude: number;
    std: number;
    operations: string[];
    weights: number[] | null;
  }[];
}

/** Made by test/fixtures/make-randaug.py with timm 0.3.2. */
const { policies }: Fixture = JSON.parse(
  readFileSync(new URL('../../../test/fixtures/randaug.json', import.meta.url), 'utf8'),
);
const { randaug } = JSON.parse(
  readFileSync(new URL('../../../test/golden/g_aug.json', import.meta.url), 'utf8'),
) as { randaug: { num_layers: number; ops: { name: string; magnitude: number; std: number }[] } };

test("DeiT's policy is that of the golden case", () => {
  const { layers, magnitude, magnitudeStd, operations, weights } = parsePolicy('rand-m9-mstd0.5-inc1');
  expect(weights).toBeUndefined();
  expect(layers).toBe(randaug.num_layers);
  expect(operations.map((name) => ({ name, magnitude, std: magnitudeStd }))).toEqual(
    randaug.ops.map(({ name, magnitude, std }) => ({ name, magnitude, std })),
  );
});

test.each(policies)('$policy is read as timm reads it', ({ policy, std, weights, ...same }) => {
  const { magnitudeStd, weights: ours, ...rest } = parsePolicy(policy);
  expect(rest).toEqual(same);
  expect(magnitudeStd).toBe(std);
  expect(ours === undefined).toBe(weights === null);
  ours?.forEach((weight, i) => {
    expect(weight).toBeCloseTo(weights?.[i] as number, 12);
  });
});

test('inc0 is plain', () => {
  expect(parsePolicy('rand-m9-inc0')).toEqual(parsePolicy('rand-m9'));
});

describe('an invalid policy is an InputError that names it and the known ones', () => {
  test.each([
    ['', '""'],
    ['augmix-m3', '"augmix"'],
    ['original', '"original"'],
    ['RAND-m9', '"RAND"'],
    ['rand-m9-p0.5', '"p0.5"'],
    ['rand-m9-mmax20', '"mmax20"'],
    ['rand-m9-foo', '"foo"'],
    ['rand-', '""'],
    ['rand-m9-', '""'],
    ['rand-m', '"m"'],
    ['rand-m-9', '"m"'],
    ['rand-9', '"9"'],
    ['rand-mstd.5', '"mstd.5"'],
    ['rand-m9 -n2', '"m9 "'],
    ['rand-constructor1', '"constructor1"'],
    ['rand-m9.5', 'm9.5'],
    ['rand-m11', 'm11'],
    ['rand-n0', 'n0'],
    ['rand-inc2', 'inc2'],
    ['rand-w1', 'w1'],
    ['rand-m9-n2-m8', 'duplicate part m'],
    ['rand-n14-w0', '13 operations'],
  ])('%j: %s', (policy, named) => {
    const error = failureOf(() => parsePolicy(policy));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toContain(JSON.stringify(policy));
    expect(error.message).toContain(named);
    for (const known of ['m0', 'n1', 'mstd', 'inc', 'w0', 'rand-m9-mstd0.5-inc1']) {
      expect(error.hint).toContain(known);
    }
  });
});

function failureOf(run: () => unknown): InputError {
  try {
    run();
  } catch (error) {
    return error as InputError;
  }
  throw new Error('did not fail');
}
